"""The vocabulary of the lifecycle: states, alarm severities, events and effects.

Every layer may import these plain values. Nothing here does or decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Literal


class State(IntEnum):
    """The values of the PV STATUS, in the order of its choices."""

    STOPPED = 0
    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    FINISHED = 4
    BACKOFF = 5
    FAILED = 6


class Severity(IntEnum):
    """EPICS alarm severities (`epicsSevNone` ... `epicsSevInvalid`)."""

    NO_ALARM = 0
    MINOR = 1
    MAJOR = 2
    INVALID = 3


class CommandFailed(Exception):  # noqa: N818 - an outcome of a put, not a fault of the program
    """A command failed: the instance is not in the state that was commanded. The text says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to start a script again and when to give up.

    Times are in seconds; 0 turns a limit off.
    """

    restart: Literal["on-failure", "always", "never"] = "on-failure"
    backoff: float = 1.0
    backoff_max: float = 60.0
    healthy_after: float = 60.0
    start_limit: int = 5
    start_timeout: float = 60.0
    stop_timeout: float = 5.0
    heartbeat_timeout: float = 0.0
    restart_when_hung: bool = False
    thread_death: Literal["alarm", "fail", "ignore"] = "alarm"


class Sign(Enum):
    """The signals that stop a run, in the order in which they are sent."""

    INTERRUPT = "stop_signal"  # SIGINT, unless the instance sets another signal
    TERMINATE = "SIGTERM"
    KILL = "SIGKILL"


class Clock(Enum):
    """What a timer measures."""

    START = "start"
    STOP = "stop"
    RETRY = "retry"
    HEALTHY = "healthy"
    HEARTBEAT = "heartbeat"


# --- events: what happened ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartAsked:
    """A client put START; `by` names the client."""

    ticket: int
    by: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A client put STOP; `by` names the client."""

    ticket: int
    by: str


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """A client put RESTART; `by` names the client."""

    ticket: int
    by: str


@dataclass(frozen=True, slots=True)
class ShutdownAsked:
    """The instance ends: stop, start nothing any more, and leave the wanted state as it is."""

    ticket: int
    why: str = "the IOC is shutting down"


@dataclass(frozen=True, slots=True)
class AutorestartSet:
    """A client switched AUTORESTART."""

    on: bool


@dataclass(frozen=True, slots=True)
class PolicySet:
    """The settings that the lifecycle decides by are others now."""

    policy: Policy


@dataclass(frozen=True, slots=True)
class Checked:
    """The check before a RESTART is done; `problem` is empty if the script is good."""

    ticket: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """The script's first line is about to run."""

    run: int


@dataclass(frozen=True, slots=True)
class Beat:
    """The script called `alive()`."""

    run: int


@dataclass(frozen=True, slots=True)
class StacksTaken:
    """The stacks that `TakeStacks` asked for were taken, or could not be taken."""

    run: int


@dataclass(frozen=True, slots=True)
class PartDied:
    """An exception ended a thread or a task of the script; `what` says which, and the exception."""

    run: int
    what: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The script's own process has ended; `survivors` counts its children that still live."""

    run: int
    code: int
    reason: str
    survivors: int = 0

    @property
    def left(self) -> str:
        """Return what a message says of the survivors after their end; empty if there were none."""
        if not self.survivors:
            return ""
        were = "was" if self.survivors == 1 else "were"
        return f"; {processes(self.survivors)} that it left {were} ended"


def processes(number: int) -> str:
    """Return a number of processes in words."""
    return "1 process" if number == 1 else f"{number} processes"


@dataclass(frozen=True, slots=True)
class Cleared:
    """All processes of the run have ended."""

    run: int


@dataclass(frozen=True, slots=True)
class Elapsed:
    """A timer has run out."""

    run: int
    clock: Clock


Event = (
    StartAsked
    | StopAsked
    | RestartAsked
    | ShutdownAsked
    | AutorestartSet
    | PolicySet
    | Checked
    | Began
    | Beat
    | StacksTaken
    | PartDied
    | Exited
    | Cleared
    | Elapsed
)

# --- effects: what to do -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawn:
    """Launch the interpreter for this run. If that fails, the answer is `Exited`."""

    run: int


@dataclass(frozen=True, slots=True)
class Check:
    """Check whether the script on disk compiles; answer with `Checked` and this ticket."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to the run: INTERRUPT to the script alone, the others to its whole tree."""

    run: int
    sign: Sign


@dataclass(frozen=True, slots=True)
class TakeStacks:
    """Record where the threads of the run are; answer with `StacksTaken` soon, in any case."""

    run: int
    why: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Start or restart a timer; answer with `Elapsed` when it runs out."""

    run: int
    clock: Clock
    delay: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Stop a timer, if it runs."""

    clock: Clock


@dataclass(frozen=True, slots=True)
class Complete:
    """A command has ended; `failure` is empty if the commanded state is reached."""

    ticket: int
    failure: str = ""


Effect = Spawn | Check | Signal | TakeStacks | SetTimer | CancelTimer | Complete
