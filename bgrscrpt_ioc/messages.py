r"""What a script's interpreter tells the IOC: frames of bytes in, checked messages out.

Pure. The sender is not trusted: whatever comes, memory is bounded and nothing is raised.

A message is a JSON object in ASCII. It travels in frames of at most `PIPE_BUF` bytes (4096 on
Linux), because only those are written whole when several processes share a pipe: the script's
forked children speak on it too. A frame is `<pid>+<part>\n`, or `<pid>=<part>\n` for the last one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_FRAME = 4096  # bytes, newline included
MAX_MESSAGE = 1 << 20  # bytes of one message, all its parts
MAX_UNFINISHED = 64  # senders with a message half sent


@dataclass(frozen=True, slots=True)
class ScriptBegan:
    """The first line of the script is about to run; `sha256` is of the text that runs."""

    pid: int
    sha256: str
    python: str  # version, "3.11.7"
    executable: str


@dataclass(frozen=True, slots=True)
class ScriptFailed:
    """The script could not be run, or ended by an uncaught exception."""

    error: str  # one line
    traceback: str


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
    """The script called `alive()` for the `count`-th time."""

    count: int


@dataclass(frozen=True, slots=True)
class Said:
    """The script said what it is doing."""

    text: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The script said how far it is, in percent."""

    percent: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Something came that is no message; `why` is for the log."""

    why: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """An interpreter in standby has imported so many modules."""

    modules: int


@dataclass(frozen=True, slots=True)
class Unprepared:
    """An interpreter in standby cannot import ahead what it should."""

    error: str


@dataclass(frozen=True, slots=True)
class CheckedAhead:
    """An interpreter in standby has compiled the script; `error` is empty where it could."""

    error: str


Message = (
    Prepared
    | Unprepared
    | CheckedAhead
    | ScriptBegan
    | ScriptFailed
    | Registered
    | Alive
    | Said
    | Progressed
    | Refused
)


class _FieldError(ValueError):
    """A field is missing or not of its kind."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _FieldError("text expected")
    # A lone surrogate cannot be written to a PV, a file or a database.
    return value.encode("utf-8", "replace").decode()


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise _FieldError("a whole number expected")
    return value


def _percent(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 100:
        raise _FieldError("a number from 0 to 100 expected")
    return float(value)


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _pv_database(value: Any) -> dict[str, dict[str, Any]]:
    """`{"NAME": {"type": ..., "description": ..., "info_field": {...}}}`, as ISIS passes it."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(pv, dict) for pv in value.values()):
        raise _FieldError("a dict of dicts expected")
    return value


_Field = Callable[[Any], Any]
_KINDS: dict[str, tuple[Callable[..., Message], dict[str, _Field]]] = {
    "began": (
        ScriptBegan,
        {"pid": _whole, "sha256": _text, "python": _text, "executable": _text},
    ),
    "failed": (ScriptFailed, {"error": _text, "traceback": _text}),
    "register": (
        Registered,
        {
            "pid": _whole,
            "exe_path": _text,
            "ioc_name": _text,
            "prefix": _optional_text,
            "pv_database": _pv_database,
        },
    ),
    "prepared": (Prepared, {"modules": _whole}),
    "unprepared": (Unprepared, {"error": _text}),
    "checked": (CheckedAhead, {"error": _text}),
    "alive": (Alive, {"count": _whole}),
    "message": (Said, {"text": _text}),
    "progress": (Progressed, {"percent": _percent}),
}


def parse(payload: bytes) -> Message:
    """Read one whole message; what is wrong with it comes back as `Refused`."""
    try:
        raw = json.loads(payload)
    except (ValueError, RecursionError) as error:
        return Refused(f"not JSON: {error}")
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        return Refused(f"unknown kind of message: {str(kind)[:40]!r}")
    make, fields = _KINDS[kind]
    values: dict[str, Any] = {}
    for name, check in fields.items():
        try:
            values[name] = check(raw.get(name))
        except _FieldError as error:
            return Refused(f"{kind}: {name}: {error}")
    return make(**values)


@dataclass(slots=True)
class MessageReader:
    """Bytes of the channel, in any chunks -> messages, in the order in which each became whole."""

    _rest: bytes = b""
    _skipping: bool = False  # inside a frame that is too long
    _parts: dict[bytes, list[bytes]] = field(default_factory=dict)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take what was read; yield what it completes."""
        *frames, self._rest = (self._rest + data).split(b"\n")
        for frame in frames:
            if self._skipping:
                self._skipping = False
            elif len(frame) >= MAX_FRAME:
                yield Refused("a frame longer than a pipe writes whole")
            else:
                yield from self._frame(frame)
        if len(self._rest) >= MAX_FRAME:
            if not self._skipping:
                yield Refused("a frame without an end")
            self._rest, self._skipping = b"", True

    def _frame(self, frame: bytes) -> Iterator[Message]:
        cut = next((at for at, byte in enumerate(frame[:12]) if byte in b"+="), 0)
        sender, part = frame[:cut], frame[cut + 1 :]
        if not sender.isdigit():
            yield Refused("a frame without a sender")
            return
        parts = self._parts.setdefault(sender, [])
        parts.append(part)
        if sum(map(len, parts)) > MAX_MESSAGE or len(self._parts) > MAX_UNFINISHED:
            del self._parts[sender]
            yield Refused("a message too long, or too many at once")
        elif frame[cut : cut + 1] == b"=":
            yield parse(b"".join(self._parts.pop(sender)))
