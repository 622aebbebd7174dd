"""Finds the record or field of a name that a client uses. Channels are made when asked for.

All fields are read-only. An IOC has thousands of fields, and clients ask for few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.channels import NEVER, OF_SEVR, OF_STAT, OF_VAL, WITH_VALUE, Channel, Events
from bgrscrpt_ioc.ca.fields import Field, field_of, following, follows
from bgrscrpt_ioc.ca.kinds import (
    ChoiceChannel,
    NumberChannel,
    String,
    TextChannel,
    channel_of,
    encoded,
)
from bgrscrpt_ioc.records.live import LiveRecord


class Channels:
    """The channels of one server, by the names that clients use."""

    def __init__(self, records: Mapping[str, LiveRecord]) -> None:
        """Serve these records, by their full names."""
        self._records = records
        self._made: dict[str, Channel] = {}
        self._watching: dict[Callable[[set[LiveRecord]], None], None] = {}

    def watch(self, removed: Callable[[set[LiveRecord]], None]) -> None:
        """Call `removed` with records that are not served any more."""
        self._watching[removed] = None

    def unwatch(self, removed: Callable[[set[LiveRecord]], None]) -> None:
        """Stop calling `removed`."""
        self._watching.pop(removed, None)

    def added(self) -> None:
        """There are other records: they are found when they are asked for."""

    def removed(self, records: Sequence[LiveRecord]) -> None:
        """Forget the channels of records that are not served any more."""
        gone = set(records)
        for tell in tuple(self._watching):
            tell(gone)
        for name in [name for name, each in self._made.items() if each.live in gone]:
            self._made.pop(name).close()

    def find(self, name: str) -> Channel | None:
        """Return the channel of `RECORD`, `RECORD.FIELD` or `RECORD.FIELD$`, or None."""
        made = self._made.get(name)
        if made is not None:
            return made
        record, live, field = self._split(name)
        if live is None:
            return None
        whole = record if field in ("", "VAL") else f"{record}.{field}"
        made = self._made.get(whole)
        if made is None:
            value = whole == record
            made = channel_of(whole, live) if value else field_channel(whole, live, field)
            if made is not None:
                self._made[whole] = made
        return made

    def open(self, name: str) -> Channel | None:
        """Return a channel for a client, which must give it back by `close`."""
        channel = self.find(name)
        if channel is not None:
            channel.users += 1
        return channel

    def close(self, channel: Channel) -> None:
        """Take a channel back from a client.

        A channel without clients is forgotten with its answers.
        """
        channel.users -= 1
        if not channel.users:
            channel.close()
            self._made.pop(channel.name, None)

    def has(self, name: str) -> bool:
        """Return whether there is such a channel. It is not made: a search may lead to nothing."""
        _, live, field = self._split(name)
        return live is not None and (field in ("", "VAL") or served(live, field))

    def _split(self, name: str) -> tuple[str, LiveRecord | None, str]:
        if name in self._records:
            return name, self._records[name], ""
        record, dot, field = name.partition(".")
        return record, self._records.get(record) if dot else None, field


def served(live: LiveRecord, name: str) -> bool:
    """Return whether a record has this field. Only texts have `FIELD$`."""
    if name.endswith("$"):
        name = name[:-1]
        if name in ("", "VAL"):
            return live.record.kind == "stringin"
        field = field_of(live.record, live.name, name)
        return field is not None and field.type == "STRING"
    return field_of(live.record, live.name, name) is not None


def field_channel(full_name: str, live: LiveRecord, name: str) -> Channel | None:
    """Return the channel of a record's field, or None if the record has no such field."""
    if not served(live, name):
        return None
    if not name.endswith("$"):
        field = field_of(live.record, live.name, name)
        return None if field is None else _channel(full_name, live, name, field)
    field = field_of(live.record, live.name, name[:-1])
    if field is None:  # this is VAL
        return TextChannel(full_name, live, lambda: live.value, wire.STRING_SIZE, OF_VAL)
    value, events = _running(live, name[:-1], field)
    return TextChannel(full_name, live, value, field.size, events)


def _channel(full_name: str, live: LiveRecord, name: str, field: Field) -> Channel:
    value, events = _running(live, name, field)
    if field.type == "STRING":
        return String(full_name, live, wire.STRING, value, events)
    if field.type == "ENUM":
        return ChoiceChannel(full_name, live, field.choices, value, events)
    made = NumberChannel(full_name, live, getattr(wire, field.type), value, events)
    made.distinct = name == "NORD"
    return made


def _running(live: LiveRecord, name: str, field: Field) -> tuple[Callable[[], Any], Events]:
    """Return how a field is read and what it posts. Few fields change while the record runs."""
    if follows(live.record, name):
        return (lambda: following(live.record, name, live.value)), WITH_VALUE
    match name:
        case "STAT":
            return (lambda: int(live.status)), OF_STAT
        case "SEVR":
            return (lambda: int(live.severity)), OF_SEVR
        case "AMSG":  # base posts it with STAT, whatever its value is
            return (lambda: field.value), OF_STAT
        case "NORD":
            return (lambda: _length(live)), WITH_VALUE
        case "RVAL" if live.record.kind == "bo":  # for an output it follows VAL
            return (lambda: live.value), WITH_VALUE
        case _:
            return (lambda: field.value), NEVER


def _length(live: LiveRecord) -> int:
    """Return how many elements the value of a waveform has."""
    return len(encoded(live.value) if live.record.is_text else live.value)
