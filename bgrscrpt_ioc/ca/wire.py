"""Values and their metadata as Channel Access has them: Python -> DBR bytes, and puts back again.

Knows no record and no network. The layouts are those of EPICS base's db_access.h.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from caproto import DBR_TYPES, ChannelType, native_type

from bgrscrpt_ioc.output.loglines import cut

STRING_SIZE = 40  # bytes of a DBR_STRING, its NUL included
MENU_SIZE = 16  # choices of a DBR_ENUM
EPICS_EPOCH = 631152000  # 1990-01-01 UTC, s since 1970
NAN = float("nan")

# Format of one element; the range that it takes.
_FORMATS: dict[ChannelType, tuple[str, float, float]] = {
    ChannelType.CHAR: ("B", 0, 2**8 - 1),
    ChannelType.ENUM: ("H", 0, 2**16 - 1),
    ChannelType.INT: ("h", -(2**15), 2**15 - 1),
    ChannelType.LONG: ("i", -(2**31), 2**31 - 1),
    ChannelType.FLOAT: ("f", -3.4028234663852886e38, 3.4028234663852886e38),
    ChannelType.DOUBLE: ("d", -math.inf, math.inf),
}
_FLOATING = (ChannelType.FLOAT, ChannelType.DOUBLE)


class ConversionError(ValueError):
    """The value cannot be had as the type that is asked for."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What goes with a value. Limits are (low, high); `stamp` is in ns since 1970."""

    status: int = 0
    severity: int = 0
    stamp: int = 0
    units: str = ""
    precision: int = 0
    limits: tuple[float, float] = (0, 0)
    alarm_limit: float = NAN  # each of the four: no record has one
    choices: tuple[str, ...] = ()


def pack(kind: ChannelType, values: Iterable[float]) -> bytes:
    """Numbers as elements of a native type; what is out of its range becomes the nearest in it."""
    code, low, high = _FORMATS[kind]
    if kind is ChannelType.DOUBLE:
        fitting = list(values)
    elif kind is ChannelType.FLOAT:
        fitting = [v if math.isinf(v) or math.isnan(v) else min(max(v, low), high) for v in values]
    else:
        fitting = [0 if math.isnan(v) else int(min(max(v, low), high)) for v in values]
    return struct.pack(f">{len(fitting)}{code}", *fitting)


def pack_strings(texts: Iterable[str]) -> bytes:
    """Texts as DBR_STRINGs: UTF-8, cut between two characters."""
    return b"".join(cut(text, STRING_SIZE - 1).ljust(STRING_SIZE, b"\0") for text in texts)


def unpack(kind: ChannelType, count: int, payload: bytes) -> list[Any]:
    """The `count` elements of a plain value: numbers, or bytes without what follows their NUL.

    Raises:
        ConversionError: it is no plain type, or there are fewer bytes than that.
    """
    if kind is ChannelType.STRING:  # the last may be sent without the zeros that it would end with
        starts = range(0, min(count * STRING_SIZE, len(payload)), STRING_SIZE)
        values: list[Any] = [payload[at : at + STRING_SIZE].split(b"\0")[0] for at in starts]
    elif kind in _FORMATS:
        code = _FORMATS[kind][0]
        values = [each for (each,) in struct.iter_unpack(f">{code}", _whole(payload, code, count))]
    else:
        raise ConversionError(f"{kind.name} cannot be put")
    if len(values) < count:
        raise ConversionError(f"{len(payload)} bytes are not {count} of {kind.name}")
    return values


def _whole(payload: bytes, code: str, count: int) -> bytes:
    size = struct.calcsize(f">{code}")
    return payload[: min(count, len(payload) // size) * size]


def padded(data: bytes, kind: ChannelType, count: int) -> bytes:
    """Exactly `count` elements of what `kind` asks for, zeros where there are no more."""
    native = native_type(kind)
    size = STRING_SIZE if native is ChannelType.STRING else struct.calcsize(_FORMATS[native][0])
    return data[: count * size].ljust(count * size, b"\0")


def number(text: str) -> float:
    """A text read as a number, as base reads a string field asked for as one; "" is 0.

    Raises:
        ConversionError: it is none.
    """
    try:
        return float(text) if text.strip() else 0
    except ValueError as error:
        raise ConversionError(f"{text!r} is no number") from error


def metadata(kind: ChannelType, meta: Meta) -> Any:
    """What a value of this DBR type has in front of it: a caproto structure, or no bytes."""
    if kind < ChannelType.STS_STRING:
        return b""
    types: Any = DBR_TYPES
    dbr = types[kind]()
    dbr.status, dbr.severity = meta.status, meta.severity
    if ChannelType.TIME_STRING <= kind <= ChannelType.TIME_DOUBLE:
        seconds, dbr.stamp.nanoSeconds = divmod(meta.stamp, 1_000_000_000)
        dbr.stamp.secondsSinceEpoch = max(0, seconds - EPICS_EPOCH)
    elif kind >= ChannelType.GR_STRING:
        _display(dbr, kind, meta)
    return dbr


def _display(dbr: Any, kind: ChannelType, meta: Meta) -> None:
    """Fill in what a GR or CTRL type has more."""
    native = native_type(kind)
    if native is ChannelType.ENUM:
        dbr.enum_strings = [choice.encode() for choice in meta.choices[:MENU_SIZE]]
    if native in (ChannelType.ENUM, ChannelType.STRING):
        return
    dbr.units = cut(meta.units, 7)
    if native in _FLOATING:
        dbr.precision = meta.precision
    for end in "alarm", "warning":
        setattr(dbr, f"upper_{end}_limit", _element(native, meta.alarm_limit))
        setattr(dbr, f"lower_{end}_limit", _element(native, meta.alarm_limit))
    for end in ("disp", "ctrl") if kind >= ChannelType.CTRL_STRING else ("disp",):
        setattr(dbr, f"lower_{end}_limit", _element(native, meta.limits[0]))
        setattr(dbr, f"upper_{end}_limit", _element(native, meta.limits[1]))


def _element(native: ChannelType, value: float) -> float | bytes:
    data = pack(native, [value])
    return data if native is ChannelType.CHAR else struct.unpack(f">{_FORMATS[native][0]}", data)[0]


def choice(choices: Sequence[str], value: object) -> int:
    """What a client has put, as one of the choices: its text, its number, or that as a text.

    Raises:
        ConversionError: it is none of them.
    """
    if isinstance(value, bytes):
        text = value.partition(b"\0")[0].decode("utf-8", "replace")
        if text in choices:
            return choices.index(text)
        value = number(text or "none")
    if not isinstance(value, (int, float)) or value not in range(len(choices)):
        raise ConversionError(f"{value!r} is none of {', '.join(choices)}")
    return int(value)
