"""What the lifecycle remembers of a script.

Pure. Read `table` first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from bgrscrpt_ioc.lifecycle.events import (
    Effect,
    Exited,
    Policy,
    RestartAsked,
    Severity,
    Sign,
    StartAsked,
    State,
)

Command = StartAsked | RestartAsked


class Then(Enum):
    """What to do when the run that is being stopped has ended."""

    JUDGE = "judge"  # the restart policy decides: it ended by itself or was stopped for a fault
    STOP = "stop"  # stay stopped: a user asked for it, or the IOC ends
    LAUNCH = "launch"  # launch the next run: a user put START or RESTART


@dataclass(slots=True)
class Machine:
    """The state of one script. Nothing is stored that can be derived."""

    policy: Policy = field(default_factory=Policy)
    autorestart: bool = True

    state: State = State.STOPPED
    run: int = 0
    message: str = "never started"
    failures: int = 0  # in a row
    reason: str = ""  # why the last run ended, during Backoff
    retry_delay: float = 0.0  # s, during Backoff
    wanted: bool = False  # what a user wanted last: True after START or RESTART, False after STOP
    hung: bool = False  # the heartbeat is missing
    part_died: str = ""  # the thread or task of the run that died last
    healthy: bool = False  # the run has lived for `healthy_after`, or ended well
    automatic: bool = False  # the restart policy started this run

    active: Command | None = None
    checking: bool = False  # the active RESTART waits for the check of the script
    queue: deque[Command] = field(default_factory=deque)
    stops: list[int] = field(default_factory=list)  # tickets that wait for Stopped
    closing: str = ""  # why the instance ends; nothing is started any more
    sign: Sign | None = None  # last signal of a stop
    then: Then = Then.JUDGE
    fault: str = ""  # why the lifecycle itself stops the run
    exit: Exited | None = None

    _effects: list[Effect] = field(default_factory=list)

    @property
    def severity(self) -> Severity:
        """Return the alarm severity of STATUS."""
        if self.state is State.FAILED or self.hung:
            return Severity.MAJOR
        lame = self.state is State.RUNNING and self.part_died
        return Severity.MINOR if lame or self.state is State.BACKOFF else Severity.NO_ALARM

    def do(self, effect: Effect) -> None:
        """Add an effect to those that `handle` returns."""
        self._effects.append(effect)
