"""A record or one of its fields over Channel Access: how it reads, and which changes it posts.

The value is that of the live record. This file knows only how Channel Access shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.live import SEVERITY, STATUS, VALUE, LiveRecord, Subscriber
from bgrscrpt_ioc.records.table import Record

DBE_VALUE, DBE_LOG, DBE_ALARM = 1, 2, 4  # caeventmask.h
LARGEST_CONVERSION = 1 << 20  # bytes of an array that is converted, which is done for each client


@dataclass(slots=True)  # not frozen: that takes 2 us more for each update of a monitor
class Reading:
    """A value as it is sent."""

    metadata: bytes
    data: bytes
    elements: int


class Events(NamedTuple):
    """The event masks that a channel posts when the value or alarm of its record changes."""

    value: int = 0
    severity: int = 0
    status: int = 0

    def watched(self, mask: int) -> int:
        """Return, as bits, the changes of the record that a monitor with this mask is told of."""
        return (
            (VALUE if self.value & mask else 0)
            | (SEVERITY if self.severity & mask else 0)
            | (STATUS if self.status & mask else 0)
        )


NEVER = Events()
WITH_VALUE = Events(value=DBE_VALUE | DBE_LOG)
# As base's records and recGblResetAlarms post them.
OF_VAL = Events(DBE_VALUE | DBE_LOG, DBE_ALARM, DBE_ALARM)
OF_SEVR = Events(severity=DBE_VALUE)
OF_STAT = Events(severity=DBE_ALARM, status=DBE_VALUE)


class Channel:
    """What all kinds of channels have in common.

    Attributes:
        is_value: whether it is the record's value, which clients may write, and not a field.
        name: its name, as clients use it.
        live: the record.
        kind: the DBR type that a client is told when it connects.
        events: what is posted when.
        distinct: whether monitors are told only of other values: some changes of the record may
            leave this field as it was.
        answers: answers to reads, kept until the record changes; see reads.py.
        users: how many channels of clients it stands for.
    """

    __slots__ = (
        "_value", "answers", "distinct", "events", "is_value", "kind", "live", "name", "users",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        live: LiveRecord,
        kind: int,
        value: Callable[[], Any],
        events: Events = NEVER,
    ) -> None:
        """Make a channel that reads as `value()`."""
        self.name, self.live, self.kind, self.events = name, live, kind, events
        self.distinct = self.is_value = False
        self._value = value
        self.users = 0
        self.answers: dict[tuple[int, int], tuple[bytes, bytes]] = {}
        live.caches += (self.answers,)

    def close(self) -> None:
        """Stop following the record: no client has the channel any more."""
        self.answers.clear()
        self.live.caches = tuple(each for each in self.live.caches if each is not self.answers)

    @property
    def size(self) -> int:
        """Return how many elements the value may have."""
        return 1

    @property
    def length(self) -> int:
        """Return how many elements a client gets that asks for all of them."""
        return self.size

    @property
    def writable(self) -> bool:
        """Return whether a client may write it. No field can be written."""
        return self.is_value and self.live.writable

    def longest_put(self, kind: int) -> int:  # noqa: ARG002 - of an array it depends on that
        """Return how many bytes a put of this DBR type may have; 0: as many as other requests."""
        return 0

    def understood(self, kind: int, count: int, payload: bytes) -> Any:
        """Return what a client puts: a number, a text or, if the value is an array, some of them.

        Raises:
            wire.ConversionError: the type is no plain type, or there are too few bytes.
        """
        return wire.first(kind, count, payload)

    @property
    def value(self) -> Any:
        """Return the value of now as Python has it."""
        return self._value()

    @property
    def severity(self) -> Severity:
        """Return the alarm severity of the record."""
        return self.live.severity

    def watch(self, subscriber: Subscriber) -> None:
        """Tell a subscriber of changes of the record."""
        self.live.watch(subscriber)

    def unwatch(self, subscriber: Subscriber) -> None:
        """Stop telling a subscriber."""
        self.live.unwatch(subscriber)

    def read(self, kind: int, count: int = 0) -> Reading:
        """Return the value as this DBR type: `count` elements, or all of them if `count` is 0.

        Raises:
            wire.ConversionError: the value cannot be converted to this type.
        """
        if kind > wire.LAST_OF_VALUES:
            count = count or 1
            return Reading(b"", self._special(kind) + bytes((count - 1) * wire.STRING_SIZE), count)
        data, there = self._data(wire.native(kind))
        count = count or there
        return Reading(self._before(kind), wire.padded(data, kind, count), count)

    def reading_in_pieces(
        self,
        kind: int,  # noqa: ARG002 - of an array it depends on these
        count: int,  # noqa: ARG002
    ) -> Generator[int, None, Reading] | None:
        """Return what makes the reading of now in pieces, if it takes long; otherwise None.

        Each piece gives what it has cost, in bytes of answers.
        """
        return None

    def _before(self, kind: int) -> bytes:
        """Return what is sent before the value."""
        live = self.live
        before = wire.state(kind, live.status, live.severity, live.stamp)
        return wire.metadata(kind, self._meta()) if before is None else before

    def _special(self, kind: int) -> bytes:
        live = self.live
        if kind in (wire.PUT_ACKT, wire.PUT_ACKS):
            raise wire.ConversionError("an acknowledgement is put, and not read")
        if kind == wire.CLASS_NAME:
            return wire.pack_strings([live.record.kind])
        # ACKT and ACKS as the fields have them: there is no alarm to acknowledge.
        acknowledgement = 1, 0
        state = wire.pack(wire.INT, [live.status, live.severity, *acknowledgement])
        return state + self._first_text()

    def _first_text(self) -> bytes:
        return self._data(wire.STRING)[0][: wire.STRING_SIZE]

    def _data(self, native: int) -> tuple[bytes, int]:
        raise NotImplementedError

    def _meta(self) -> wire.Meta:
        live, record = self.live, self.live.record
        return wire.Meta(
            live.status,
            live.severity,
            live.stamp,
            record.egu,
            record.prec,
            record.limits,
            alarm_limits=_alarm_limits(record),
        )


def _alarm_limits(record: Record) -> tuple[float, float, float, float]:
    """Return HIHI, HIGH, LOW and LOLO as base does.

    Records differ in what they give if there is none.
    """
    none = 0 if record.kind == "int64in" else wire.NAN
    low, high = record.alarms
    return none if high is None else high, none, none, none if low is None else low


def no_reading(kind: int, count: int, least: int = 1) -> Reading:
    """Return `least` zeros for a client that gets nothing else.

    The status of the answer says so.
    """
    count = count or least
    before = bytes(len(wire.metadata(kind, wire.Meta())))
    return Reading(before, wire.padded(b"", kind, count), count)


def too_large(channel: Channel, kind: int, count: int) -> bool:
    """Return whether the value would be longer than a client may ask for again and again."""
    if wire.native(kind) == channel.kind and count <= channel.size:
        return False
    return wire.size_of(kind, count or channel.length) > LARGEST_CONVERSION
