"""The kinds of channels: numbers, choices, short and long texts, and how each reads as DBR types.

What they have in common is in channels.py; none of them is written by a client.
"""

from __future__ import annotations

from typing import Any

from caproto import AlarmStatus, ChannelType

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.channels import Channel
from bgrscrpt_ioc.ca.fields import Value
from bgrscrpt_ioc.ca.records import Record
from bgrscrpt_ioc.events import Severity
from bgrscrpt_ioc.output.loglines import cut


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

    def _taken(self, value: Any) -> Value:
        if not isinstance(value, (int, float)):
            raise ValueError(f"{self.name}: {value!r} is no number")  # noqa: TRY004 - as `post` says
        return value

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
        return cut(_text(self, value), self.bytes - 1).decode()

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
        return cut(_text(self, value), self.size - 1) + b"\0"

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


def _text(channel: Channel, value: object) -> str:
    """The text, without the NULs that would end it for clients."""
    if not isinstance(value, str):
        raise ValueError(f"{channel.name}: {value!r} is no text")  # noqa: TRY004 - as `post` says
    return value.replace("\0", "")


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
