"""Reads the messages of a script's interpreter, and checks every field of them.

Pure. The sender is not trusted: whatever comes, nothing is raised. A message is a JSON object in
ASCII. Only the value of a PV, which may be long and come often, is `NAME=<bytes>` or
`NAME/<severity>=<bytes>`, with newlines escaped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.process.messages import (
    PV_TYPES,
    Alive,
    CheckedAhead,
    Complained,
    Message,
    Prepared,
    Progressed,
    PutEnded,
    PvMade,
    PvSet,
    Refused,
    Registered,
    Said,
    ScriptBegan,
    ScriptFailed,
    ThreadDied,
)  # fmt: skip

LONGEST_TEXT = 1000  # characters of a description, a unit or a choice that are looked at


class _FieldError(ValueError):
    """A field is missing or has a wrong type."""


def _line(value: Any) -> str:
    if not isinstance(value, str):
        raise _FieldError("text expected")
    return visible(value)


def _lines(value: Any) -> str:
    if not isinstance(value, str):
        raise _FieldError("text expected")
    return visible(value, lines=True)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise _FieldError("a whole number expected")
    return value


def _percent(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 100:
        raise _FieldError("a number from 0 to 100 expected")
    return float(value)


def _optional_text(value: Any) -> str | None:
    return None if value is None else _line(value)


def _pv_database(value: Any) -> dict[str, dict[str, Any]]:
    """Check a `pv_database`: `{"NAME": {"type": ..., "description": ..., "info_field": ...}}`."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(pv, dict) for pv in value.values()):
        raise _FieldError("a dict of dicts expected")
    return value


def _short_line(value: Any) -> str:
    return _line(value[:LONGEST_TEXT] if isinstance(value, str) else value)


def _pv_type(value: Any) -> str:
    if value not in PV_TYPES:
        raise _FieldError(f"one of {', '.join(PV_TYPES)} expected")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _FieldError("true or false expected")
    return value


def _limit(value: Any) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not -1e308 <= value <= 1e308:
        raise _FieldError("a finite number expected")
    return value if isinstance(value, int) and abs(value) < 2**53 else float(value)


def _precision(value: Any) -> int:
    return min(_whole(value), 15)


def _choices(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > 16:
        raise _FieldError("a list of at most 16 texts expected")
    return tuple(_short_line(each) for each in value)


_Field = Callable[[Any], Any]
_KINDS: dict[str, tuple[Callable[..., Message], dict[str, _Field]]] = {
    "began": (
        ScriptBegan,
        {"pid": _whole, "sha256": _line, "python": _line, "executable": _line},
    ),
    "failed": (ScriptFailed, {"error": _line, "traceback": _lines}),
    "died": (ThreadDied, {"who": _line, "error": _line, "traceback": _lines, "more": _whole}),
    "register": (
        Registered,
        {
            "pid": _whole,
            "exe_path": _line,
            "ioc_name": _line,
            "prefix": _optional_text,
            "pv_database": _pv_database,
        },
    ),
    "prepared": (Prepared, {"error": _line}),
    "checked": (CheckedAhead, {"error": _line}),
    "alive": (Alive, {"count": _whole}),
    "message": (Said, {"text": _line}),
    "progress": (Progressed, {"percent": _percent}),
    "pv": (
        PvMade,
        {
            "name": _short_line,
            "type": _pv_type,
            "description": _short_line,
            "unit": _short_line,
            "precision": _precision,
            **dict.fromkeys(("low", "high", "alarm_low", "alarm_high"), _limit),
            "choices": _choices,
            **dict.fromkeys(("writable", "keep", "archive"), _truth),
            "size": _whole,
        },
    ),
    "put": (PutEnded, {"number": _whole, "problem": _short_line, "holds": _truth}),
    "complaint": (Complained, {"text": _short_line, "is_error": _truth}),
}


def parse(payload: bytes) -> Message:
    """Return the message that a payload holds; `Refused` says what is wrong with it."""
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


def parse_value(payload: bytes) -> Message:
    """Return the value of a PV that a payload holds; `Refused` says what is wrong with it."""
    head, equals, data = payload.partition(b"=")
    name, slash, severity = head.partition(b"/")
    if not equals or not name.isascii() or len(name) > LONGEST_TEXT:
        return Refused("the value of a PV without its name")
    if b"\x1b" in data:
        data = data.replace(b"\x1b0", b"\n").replace(b"\x1b1", b"\x1b")
    if not slash:
        return PvSet(name.decode(), None, data)
    if severity not in (b"0", b"1", b"2", b"3"):
        return Refused("the value of a PV with an unknown severity")
    return PvSet(name.decode(), int(severity), data)
