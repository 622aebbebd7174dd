"""What the lifecycle remembers of a script.

Pure, as `lifecycle` is; read that file first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from bgrscrpt_ioc.events import (
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
    """What follows when the run that is being stopped is over."""

    JUDGE = "judge"  # it ended by itself, or was stopped for a fault: the restart policy decides
    STOP = "stop"  # a user's STOP, or the IOC's end
    LAUNCH = "launch"  # a user's START or RESTART


@dataclass(slots=True)
class Machine:
    """What is remembered of one script, and nothing that can be derived."""

    policy: Policy = field(default_factory=Policy)
    autorestart: bool = True

    state: State = State.STOPPED
    run: int = 0
    message: str = "never started"
    failures: int = 0  # in a row
    retry_delay: float = 0.0  # s, of the Backoff
    wanted: bool = False  # a user's last word: True after START or RESTART, False after STOP
    hung: bool = False  # misses its heartbeat
    healthy: bool = False  # has run for `healthy_after`, or to a good end
    automatic: bool = False  # this run was started by the restart policy

    active: Command | None = None
    checking: bool = False  # the active RESTART waits for its check
    queue: deque[Command] = field(default_factory=deque)
    stops: list[int] = field(default_factory=list)  # tickets that wait for Stopped
    closing: bool = False
    sign: Sign | None = None  # last signal of a stop
    then: Then = Then.JUDGE
    fault: str = ""  # why the machine itself stops the run
    exit: Exited | None = None

    _effects: list[Effect] = field(default_factory=list)

    @property
    def severity(self) -> Severity:
        """Alarm severity of STATUS."""
        if self.state is State.FAILED or self.hung:
            return Severity.MAJOR
        return Severity.MINOR if self.state is State.BACKOFF else Severity.NO_ALARM

    def do(self, effect: Effect) -> None:
        """Add an effect to those that `handle` returns."""
        self._effects.append(effect)
