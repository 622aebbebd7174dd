"""The words of the lifecycle: states, alarm severities, events and effects.

Plain values that every layer may import; nothing here does or decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Literal


class State(IntEnum):
    """STATUS, in the order of the record's choices."""

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
    """The commanded state was not reached; the text says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to start again and when to lose patience; times in seconds, 0 turns a limit off."""

    restart: Literal["on-failure", "always", "never"] = "on-failure"
    backoff: float = 1.0
    backoff_max: float = 60.0
    healthy_after: float = 60.0
    start_limit: int = 5
    start_timeout: float = 60.0
    stop_timeout: float = 5.0
    heartbeat_timeout: float = 0.0
    restart_when_hung: bool = False


class Sign(Enum):
    """What is sent to stop a run, in rising order."""

    INTERRUPT = "SIGINT"
    TERMINATE = "SIGTERM"
    KILL = "SIGKILL"


class Clock(Enum):
    """What a timer is for."""

    START = "start"
    STOP = "stop"
    RETRY = "retry"
    HEALTHY = "healthy"
    HEARTBEAT = "heartbeat"


# --- events: what happened ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartAsked:
    """START was put; `by` is who asked."""

    ticket: int
    by: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """STOP was put."""

    ticket: int
    by: str


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """RESTART was put."""

    ticket: int
    by: str


@dataclass(frozen=True, slots=True)
class ShutdownAsked:
    """The IOC goes down: stop, start nothing any more, and leave the wanted state as it is."""

    ticket: int


@dataclass(frozen=True, slots=True)
class AutorestartSet:
    """AUTORESTART was switched."""

    on: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The check that a RESTART waits for is done; `problem` is empty when the script is good."""

    ticket: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Began:
    """The first line of the script is reached."""

    run: int


@dataclass(frozen=True, slots=True)
class Beat:
    """The script said that it is alive."""

    run: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The script's own process is gone; `survivors` of its tree still live."""

    run: int
    code: int
    reason: str
    survivors: int = 0


@dataclass(frozen=True, slots=True)
class Cleared:
    """Nothing of the run's tree lives any more."""

    run: int


@dataclass(frozen=True, slots=True)
class Elapsed:
    """A timer ran out."""

    run: int
    clock: Clock


Event = (
    StartAsked
    | StopAsked
    | RestartAsked
    | ShutdownAsked
    | AutorestartSet
    | Checked
    | Began
    | Beat
    | Exited
    | Cleared
    | Elapsed
)

# --- effects: what to do -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawn:
    """Launch the interpreter as this run; a failure to launch comes back as `Exited`."""

    run: int


@dataclass(frozen=True, slots=True)
class Check:
    """Compile the script as it is on disk; answer with `Checked` of this ticket."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Send `sign` to the run: INTERRUPT to the script, the others to its whole tree."""

    run: int
    sign: Sign


@dataclass(frozen=True, slots=True)
class SetTimer:
    """(Re)start the timer of this clock; `Elapsed` of this run when it runs out."""

    run: int
    clock: Clock
    delay: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer of this clock, if it is set."""

    clock: Clock


@dataclass(frozen=True, slots=True)
class Complete:
    """A command is over; `failure` is empty when the commanded state is reached."""

    ticket: int
    failure: str = ""


Effect = Spawn | Check | Signal | SetTimer | CancelTimer | Complete
