"""The messages that a script's interpreter sends to the IOC. Pure.

parsing.py reads and checks them; frames.py knows how they travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

PV_TYPES = ("float", "int", "bool", "choice", "text", "floats", "ints")


@dataclass(frozen=True, slots=True)
class ScriptBegan:
    """The first line of the script is about to run; `sha256` is of the text that runs."""

    pid: int
    sha256: str
    python: str  # version, "3.11.7"
    executable: str


@dataclass(frozen=True, slots=True)
class ScriptFailed:
    """The script could not run, or an uncaught exception ended it."""

    error: str  # one line
    traceback: str


@dataclass(frozen=True, slots=True)
class ThreadDied:
    """An exception ended a thread or an asyncio task of the script; the script runs on."""

    who: str  # "thread Poller", "task Task-3"
    error: str  # one line
    traceback: str
    more: int  # earlier deaths that were not sent, because there were too many


@dataclass(frozen=True, slots=True)
class Registered:
    """The script called `register_ioc_start`."""

    pid: int
    exe_path: str
    ioc_name: str
    prefix: str | None
    pv_database: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Alive:
    """The script called `alive()` for the `count`-th time. The message stands for `calls` calls."""

    count: int
    calls: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Said:
    """The script called `message()`."""

    text: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The script called `progress()`."""

    percent: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Something came that is no message; `why` is for the log."""

    why: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """An interpreter in standby has imported its modules; `error` names those that failed."""

    error: str


@dataclass(frozen=True, slots=True)
class CheckedAhead:
    """An interpreter in standby has checked the script; `error` is empty if the script compiles."""

    error: str


@dataclass(frozen=True, slots=True)
class PvMade:
    """The script made a PV; limits that are not set are None."""

    name: str
    type: str  # one of PV_TYPES
    description: str
    unit: str
    precision: int
    low: float | None
    high: float | None
    alarm_low: float | None
    alarm_high: float | None
    choices: tuple[str, ...]
    writable: bool
    keep: bool
    archive: bool
    size: int  # elements of an array, or bytes of a text


class PvSet(NamedTuple):
    """The script set a PV; `data` is encoded as the PV's type has it.

    A tuple, because made often.
    """

    name: str
    severity: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class PutEnded:
    """The script has taken a put; `problem` is empty if the put did not fail.

    `holds` says that the PV has the value of the put. Otherwise the script has set another value
    since.
    """

    number: int
    problem: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Skimmed:
    """So many values of PVs were left out, because newer ones came. Sent by the IOC to itself."""

    values: int


@dataclass(frozen=True, slots=True)
class Complained:
    """The script uses `bgrscrpt` wrongly; it runs on."""

    text: str
    is_error: bool


Message = (
    Prepared
    | CheckedAhead
    | ScriptBegan
    | ScriptFailed
    | ThreadDied
    | Registered
    | Alive
    | Said
    | Progressed
    | PvMade
    | PvSet
    | PutEnded
    | Skimmed
    | Complained
    | Refused
)
