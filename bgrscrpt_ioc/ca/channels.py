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

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.fields import Value
from bgrscrpt_ioc.ca.records import Record
from bgrscrpt_ioc.events import Severity

DBE_VALUE, DBE_LOG, DBE_ALARM = 1, 2, 4  # caeventmask.h
LARGEST_CONVERSION = 1 << 22  # bytes of an array as other than its own type, made for each client


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
        "answers",
        "fields",
        "name",
        "record",
        "refresh",
        "severity",
        "stamp",
        "status",
        "subscribers",
        "value",
    )
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
        self.answers: dict[tuple[int, int], tuple[bytes, bytes]] = {}  # see reads.py

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
            self._forget_answers()
            self._tell(what)

    def _taken(self, value: Any) -> Any:
        return value

    def _forget_answers(self) -> None:
        """What was read is no more so: a field's alarm and time are its record's."""
        self.answers.clear()
        for field in self.fields.values():
            field._forget_answers()

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
        if kind in (ChannelType.CLASS_NAME, ChannelType.STSACK_STRING):
            count = count or 1
            return Reading(b"", self._special(kind) + bytes((count - 1) * wire.STRING_SIZE), count)
        data, there = self._data(native_type(kind))
        count = min(count, self.size) or there
        return Reading(wire.metadata(kind, self._meta()), wire.padded(data, kind, count), count)

    def _special(self, kind: ChannelType) -> bytes:
        if kind is ChannelType.CLASS_NAME:
            return wire.pack_strings([self.record.kind])
        alarm = self._alarmed
        acknowledgement = 1, 0  # ACKT and ACKS as the fields have them: there is none to be made
        state = wire.pack(ChannelType.INT, [alarm.status, alarm.severity, *acknowledgement])
        return state + self._data(ChannelType.STRING)[0][: wire.STRING_SIZE]

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
            alarm_limit=0 if record.kind == "int64in" else wire.NAN,  # base's records differ so
        )


def running_value(owner: Channel, field: str) -> Value | None:
    """What a field is that changes as the record does; None for the others."""
    if field == "STAT":
        return int(owner.status)
    if field == "SEVR":
        return int(owner.severity)
    if field == "NORD":
        return len(owner.value)
    return None


def no_reading(kind: ChannelType, count: int) -> Reading:
    """Zeros, for one who gets nothing else; the status says so."""
    count = count or 1
    return Reading(wire.metadata(kind, wire.Meta()), wire.padded(b"", kind, count), count)


def too_large(channel: Channel, kind: ChannelType, count: int) -> bool:
    """Whether the value would take long to make: one as other than its own type, of many bytes."""
    native = native_type(kind)
    size = (count or channel.size) * (40 if native is ChannelType.STRING else 8)
    return native is not channel.kind and size > LARGEST_CONVERSION
