"""Tells what happens to an instance - runs begin, end and hang - from the states of its lifecycle.

Pure. It decides nothing. `witness` passes the story on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bgrscrpt_ioc.lifecycle.events import Clock, Elapsed, Event, State
from bgrscrpt_ioc.lifecycle.machine import Machine

GOING = (State.STARTING, State.RUNNING, State.STOPPING)
POLICY = "autorestart"  # the one who asked for an automatic start


class How(StrEnum):
    """How a run ended, or that it goes on."""

    RUNNING = "running"
    STOPPED = "stopped"  # by a user's STOP, or by the end of the IOC
    RESTARTED = "restarted"  # by a RESTART
    FINISHED = "finished"
    FAILED = "failed"
    LOST = "lost"  # the IOC ended without saying how


@dataclass(frozen=True, slots=True)
class RunBegan:
    """A run was launched; `by` is who asked, `restarts` is how many automatic starts there were."""

    run: int
    by: str
    restarts: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """All processes of the run have ended.

    `why` is the reason; `message` also says what follows.
    """

    run: int
    how: How
    why: str
    message: str = ""
    final: bool = False  # only a user starts it again


@dataclass(frozen=True, slots=True)
class Hung:
    """The heartbeat of the script is missing."""

    run: int
    message: str


@dataclass(frozen=True, slots=True)
class WellAgain:
    """The instance runs well again after a failure or a missing heartbeat."""

    run: int
    message: str


Happening = RunBegan | RunEnded | Hung | WellAgain


class Story:
    """The story of one instance, event after event."""

    def __init__(self) -> None:
        """Begin; nothing has happened."""
        self._run = self._restarts = 0
        self._state, self._message = State.STOPPED, ""
        self._hung = self._troubled = False

    def seen(self, event: Event, machine: Machine) -> list[Happening]:
        """Return what has happened, from an event and the state of the machine after it."""
        found = self._runs(machine)
        found += self._health(event, machine, found)
        self._run, self._state, self._message = machine.run, machine.state, machine.message
        self._hung = machine.hung
        return found

    def _runs(self, machine: Machine) -> list[Happening]:
        found: list[Happening] = []
        was_going = self._state in GOING
        if machine.run != self._run:
            if was_going:
                found.append(RunEnded(self._run, How.RESTARTED, self._message, self._message))
            self._restarts += machine.automatic
            by = POLICY if machine.automatic else machine.active.by if machine.active else ""
            found.append(RunBegan(machine.run, by, self._restarts))
        elif was_going and machine.state not in GOING:
            found.append(_end_of(machine))
        return found

    def _health(self, event: Event, machine: Machine, runs: Sequence[Happening]) -> list[Happening]:
        if (
            isinstance(event, Elapsed)
            and event.clock is Clock.HEARTBEAT
            and event.run == self._run
            and self._state is State.RUNNING
        ):
            self._troubled = True
            return [Hung(machine.run, machine.message)]
        ends = [each.how for each in runs if isinstance(each, RunEnded)]
        if How.FAILED in ends:
            self._troubled = True
        elif machine.state is State.STOPPED:
            self._troubled = False  # a user has taken care of it
        elif self._troubled and not machine.hung:
            back = self._hung and machine.state is State.RUNNING
            if back or How.FINISHED in ends or (machine.state is State.RUNNING and machine.healthy):
                self._troubled = False
                return [WellAgain(machine.run, machine.message if back else "it runs well again")]
        return []


def _end_of(machine: Machine) -> RunEnded:
    """Return how the run ended after which nothing runs."""
    message, code = machine.message, machine.exit.code if machine.exit is not None else 0
    if machine.state is State.STOPPED:
        return RunEnded(machine.run, How.STOPPED, message, message)
    well = machine.state is State.FINISHED or (code == 0 and not machine.fault)
    why = machine.reason if machine.state is State.BACKOFF else message
    final = machine.state is State.FAILED
    return RunEnded(machine.run, How.FINISHED if well else How.FAILED, why, message, final)
