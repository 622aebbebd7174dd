"""One record, or one of its fields, over Channel Access: what it reads as and who watches it.

A post is a mere store while nobody watches. What the value is and when it changes is decided
elsewhere; here are no records by name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from caproto import AlarmStatus, ChannelType, native_type

from bgrscrpt_ioc import wire
from bgrscrpt_ioc.events import Severity
from bgrscrpt_ioc.fields import Value
from bgrscrpt_ioc.loglines import cut
from bgrscrpt_ioc.records import Record

DBE_VALUE, DBE_LOG, DBE_ALARM = 1, 2, 4  # caeventmask.h


@dataclass(frozen=True, slots=True)
class Reading:
    """A value as it goes onto the wire."""

    metadata: Any
    data: bytes
    count: int


class Subscriber(Protocol):
    """One who is told of changes; `mask` says of which."""

    mask: int

    def changed(self) -> None:
        """Take note that there is something new to read."""
        ...


class Channel:
    """What all have in common. `value` is of the type that `post` takes."""

    __slots__ = (
        "_owner",
        "fields",
        "name",
        "record",
        "refresh",
        "severity",
        "stamp",
        "status",
        "subscribers",
        "value",
    )  # fmt: skip
    kind: ChannelType  # that a client is told when it connects
    value: Any
    writable = False

    def __init__(self, name: str, record: Record, value: Any, owner: Channel | None = None) -> None:
        """Make the record `name`, or a field of the record `owner`."""
        self.name, self.record, self.value = name, record, value
        self.severity, self.status = Severity.NO_ALARM, AlarmStatus.NO_ALARM
        self.stamp = time.time_ns()
        self.subscribers: tuple[Subscriber, ...] = ()
        self.refresh: Callable[[], None] | None = None  # call before a client reads
        self._owner = owner
        self.fields: dict[str, Channel] = {}  # those that somebody has looked up

    @property
    def size(self) -> int:
        """How many elements the value may have."""
        return 1

    # --- in ------------------------------------------------------------------------------------

    def post(
        self,
        value: Any,
        severity: Severity = Severity.NO_ALARM,
        status: AlarmStatus = AlarmStatus.SOFT,
    ) -> None:
        """Take a new value and alarm, and tell who watches; nothing if both are as they were.

        Raises:
            ValueError: this record cannot have that value.
        """
        value = self._taken(value)
        if severity is Severity.NO_ALARM:
            status = AlarmStatus.NO_ALARM
        what = (value != self.value) and DBE_VALUE | DBE_LOG
        if (severity, status) != (self.severity, self.status):
            what |= DBE_ALARM
        if what:
            self.value, self.severity, self.status = value, severity, status
            self.stamp = time.time_ns()
            self._tell(what)

    def _taken(self, value: Any) -> Any:
        return value

    def _tell(self, what: int) -> None:
        for subscriber in self.subscribers:
            if subscriber.mask & what:
                subscriber.changed()
        for name, field in self.fields.items():
            if field.follow(self, name):
                field._tell(what)

    def follow(self, owner: Channel, field: str) -> bool:
        """Be what this field of the record has become; return whether that is another value."""
        value = running_value(owner, field)
        if value is None or value == self.value:
            return False
        self.value = value
        return True

    # --- out -----------------------------------------------------------------------------------

    def read(self, kind: ChannelType, count: int = 0) -> Reading:
        """The value as this DBR type: `count` elements, or as many as there are for 0.

        Raises:
            wire.ConversionError: it cannot be had as that.
        """
        if kind is ChannelType.CLASS_NAME:
            return Reading(wire.pack_strings([self.record.kind]), b"", 1)
        if kind is ChannelType.STSACK_STRING:
            state = wire.pack(ChannelType.INT, [self._alarmed.status, self._alarmed.severity, 1, 0])
            return Reading(state + self._data(ChannelType.STRING)[0][: wire.STRING_SIZE], b"", 1)
        data, there = self._data(native_type(kind))
        count = min(count, self.size) or there
        return Reading(wire.metadata(kind, self._meta()), wire.padded(data, kind, count), count)

    def _data(self, native: ChannelType) -> tuple[bytes, int]:
        raise NotImplementedError

    @property
    def _alarmed(self) -> Channel:
        return self._owner or self

    def _meta(self) -> wire.Meta:
        alarmed, record = self._alarmed, self.record
        return wire.Meta(
            alarmed.status,
            alarmed.severity,
            alarmed.stamp,
            record.egu,
            record.prec,
            (0, record.high),
            record.choices,
        )


class Number(Channel):
    """ai, longin, int64in and fields of numbers."""

    __slots__ = ("kind",)

    def __init__(
        self,
        name: str,
        record: Record,
        kind: ChannelType,
        value: Value = 0,
        owner: Channel | None = None,
    ) -> None:
        super().__init__(name, record, value, owner)
        self.kind = kind

    def _data(self, native: ChannelType) -> tuple[bytes, int]:
        if native is not ChannelType.STRING:
            return wire.pack(native, [self.value]), 1
        whole = isinstance(self.value, int) or self.record.kind == "int64in"
        text = f"{self.value:.0f}" if whole else f"{self.value:.{self.record.prec}f}"
        return wire.pack_strings([text]), 1


class Choice(Channel):
    """bi, bo, mbbi and menus: the number of one of some texts."""

    __slots__ = ("choices",)
    kind = ChannelType.ENUM

    def __init__(
        self,
        name: str,
        record: Record,
        choices: tuple[str, ...],
        value: int = 0,
        owner: Channel | None = None,
    ) -> None:
        super().__init__(name, record, value, owner)
        self.choices = choices

    def post(
        self,
        value: Any,
        severity: Severity = Severity.NO_ALARM,
        status: AlarmStatus = AlarmStatus.STATE,
    ) -> None:
        """As of every channel; the alarm is one of the state."""
        super().post(value, severity, status)

    def _taken(self, value: Any) -> int:
        if value not in range(len(self.choices)):
            raise ValueError(f"{self.name}: {value!r} is the number of none of its choices")
        return int(value)

    def _data(self, native: ChannelType) -> tuple[bytes, int]:
        if native is not ChannelType.STRING:
            return wire.pack(native, [self.value]), 1
        known = self.value < len(self.choices)
        return wire.pack_strings([self.choices[self.value] if known else "Illegal_Value"]), 1

    def _meta(self) -> wire.Meta:
        alarmed = self._alarmed
        return wire.Meta(alarmed.status, alarmed.severity, alarmed.stamp, choices=self.choices)


class String(Channel):
    """stringin and fields of text; UTF-8, cut between two characters at 39 bytes."""

    __slots__ = ("bytes",)
    kind = ChannelType.STRING

    def __init__(
        self,
        name: str,
        record: Record,
        value: str = "",
        size: int = wire.STRING_SIZE,
        owner: Channel | None = None,
    ) -> None:
        super().__init__(name, record, value, owner)
        self.bytes = size

    def _taken(self, value: Any) -> str:
        return cut(value.replace("\0", ""), self.bytes - 1).decode()

    def _data(self, native: ChannelType) -> tuple[bytes, int]:
        if native is ChannelType.STRING:
            return wire.pack_strings([self.value]), 1
        return wire.pack(native, [wire.number(self.value)]), 1


class Text(Channel):
    """waveform of CHAR: UTF-8, cut between two characters, always with the NUL that ends it."""

    __slots__ = ()
    kind = ChannelType.CHAR

    def __init__(self, name: str, record: Record, owner: Channel | None = None) -> None:
        super().__init__(name, record, b"\0", owner)

    @property
    def size(self) -> int:
        """NELM."""
        return self.record.size

    def _taken(self, value: Any) -> bytes:
        return cut(value.replace("\0", ""), self.size - 1) + b"\0"

    def _data(self, native: ChannelType) -> tuple[bytes, int]:
        if native is ChannelType.CHAR:
            return self.value, len(self.value)
        if native is ChannelType.STRING:  # of an array, one number in each
            return wire.pack_strings(map(str, self.value)), len(self.value)
        return wire.pack(native, self.value), len(self.value)


class LongString(Text):
    """A text field asked for with `$`: not cut at 39 bytes, but a CHAR array."""

    __slots__ = ("_source",)

    def __init__(self, name: str, source: String, owner: Channel) -> None:
        super().__init__(name, owner.record, owner)
        self._source = source
        self.value = source.value.encode() + b"\0"

    @property
    def size(self) -> int:
        """Bytes that the field may have."""
        return self._source.bytes

    def follow(self, owner: Channel, field: str) -> bool:  # noqa: ARG002 - knows its source
        """Be what the text has become."""
        before, self.value = self.value, self._source.value.encode() + b"\0"
        return self.value != before


def channel_of(name: str, record: Record) -> Channel:
    """The channel of a record that no client writes."""
    match record.kind:
        case "ai":
            return Number(name, record, ChannelType.DOUBLE, 0.0)
        case "int64in":  # as base serves it: Channel Access has no 64-bit integers
            return Number(name, record, ChannelType.DOUBLE)
        case "longin":
            return Number(name, record, ChannelType.LONG)
        case "stringin":
            return String(name, record)
        case "waveform":
            return Text(name, record)
        case _:
            return Choice(name, record, record.choices)


def running_value(owner: Channel, field: str) -> Value | None:
    """What a field is that changes as the record does; None for the others."""
    if field == "STAT":
        return int(owner.status)
    if field == "SEVR":
        return int(owner.severity)
    if field == "NORD":
        return len(owner.value)
    return None
