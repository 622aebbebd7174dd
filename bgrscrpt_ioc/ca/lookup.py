"""From the name that a client uses to a record or its field; fields are made when first asked for.

All fields are read-only. An IOC has thousands of them, clients ask for a handful.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caproto import ChannelType

from bgrscrpt_ioc.ca.channels import Channel, running_value
from bgrscrpt_ioc.ca.fields import Field, field_of
from bgrscrpt_ioc.ca.kinds import Choice, LongString, Number, String


def find(channels: Mapping[str, Channel], name: str) -> Channel | None:
    """The channel of `RECORD`, `RECORD.FIELD` or `RECORD.FIELD$`; None when there is none."""
    if name in channels:
        return channels[name]
    record, dot, field = name.partition(".")
    found = channels.get(record)
    return field_channel(found, field) if dot and found is not None else None


def has(channels: Mapping[str, Channel], name: str) -> bool:
    """Whether there is such a channel; a plain field is not made: who searches may never come."""
    record, dot, field = name.partition(".")
    owner = channels.get(record)
    if owner is None or not dot or field.endswith("$"):
        return find(channels, name) is not None
    return field in ("", "VAL") or field_of(owner.record, owner.name, field) is not None


def field_channel(owner: Channel, name: str) -> Channel | None:
    """The field of a record; None when it has no such field."""
    if name in ("", "VAL"):
        return owner
    if name not in owner.fields:
        made = _made(owner, name)
        if made is None:
            return None
        owner.fields[name] = made
    return owner.fields[name]


def _made(owner: Channel, name: str) -> Channel | None:
    full_name = f"{owner.name}.{name}"
    if name.endswith("$"):
        text = field_channel(owner, name[:-1])
        return LongString(full_name, text, owner) if isinstance(text, String) else None
    field = field_of(owner.record, owner.name, name)
    if field is None:
        return None
    running = running_value(owner, name)
    return _channel(full_name, owner, field, field.value if running is None else running)


def _channel(name: str, owner: Channel, field: Field, value: Any) -> Channel:
    if field.type == "STRING":
        return String(name, owner.record, str(value), field.size, owner)
    if field.type == "ENUM":
        return Choice(name, owner.record, field.choices, int(value), owner)
    return Number(name, owner.record, ChannelType[field.type], value, owner)
