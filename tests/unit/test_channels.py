"""Channels without a network: what they read as, and which changes they post."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from caproto import ChannelType

from bgrscrpt_ioc.ca.channels import DBE_ALARM, DBE_LOG, DBE_VALUE, Channel
from bgrscrpt_ioc.ca.lookup import Channels
from bgrscrpt_ioc.ca.monitors import Monitors
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.records.table import RECORDS

BY_NAME = {record.name: record for record in RECORDS}


def made(name: str) -> tuple[LiveRecord, Channels]:
    """Return a record, and the channels of a server that serves only this record."""
    record = live(f"TE:X:{name}", BY_NAME[name])
    return record, Channels({record.name: record})


def found(channels: Channels, name: str) -> Channel:
    channel = channels.find(name)
    assert channel is not None
    return channel


@dataclass(eq=False)
class Client:
    """Monitors one channel."""

    channel: Channel
    mask: int = DBE_VALUE | DBE_ALARM
    readable: bool = True
    seen: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        Monitors(self, "h", Counter()).add(self, self.channel.kind, 0, 1, self.mask)
        del self.seen[0]

    def busy_for(self, size: int) -> bool:
        return not size

    def in_pieces(self, work: object) -> None:  # noqa: ARG002 - as in link.py
        raise AssertionError("it does not take long")

    def put(self, data: bytes) -> None:
        assert data
        self.seen.append(self.channel.read(self.channel.kind).data)

    def guarded(self, call: Callable[[], object]) -> None:
        call()


def test_a_post_tells_who_asked_for_it() -> None:
    """A change of value or alarm reaches subscribers whose mask has it.

    No change reaches nobody.
    """
    record, channels = made("EXITCODE")
    channel = found(channels, record.name)
    values, alarms = Client(channel, DBE_VALUE), Client(channel, DBE_ALARM)
    record.post(0)
    record.post(3)
    record.post(3, Severity.MAJOR)
    record.post(4, Severity.MAJOR)
    assert values.seen == [b"\0\0\0\3", b"\0\0\0\4"]
    assert alarms.seen == [b"\0\0\0\3"]


# What base's recGblResetAlarms and its records post when only the value, or only the severity,
# changes.
@pytest.mark.parametrize(
    ("name", "mask", "value", "alarm"),
    [
        ("", DBE_VALUE, 1, 0),
        ("", DBE_LOG, 1, 0),
        ("", DBE_ALARM, 0, 1),
        (".SEVR", DBE_VALUE, 0, 1),
        (".SEVR", DBE_ALARM, 0, 0),
        (".STAT", DBE_VALUE, 0, 1),
        (".STAT", DBE_ALARM, 0, 1),
        (".STAT", DBE_LOG, 0, 0),
        (".DESC", DBE_VALUE | DBE_ALARM, 0, 0),
        (".VAL$", DBE_VALUE, 1, 0),
        (".VAL$", DBE_ALARM, 0, 1),
    ],
)
def test_events_of_fields(name: str, mask: int, value: int, alarm: int) -> None:
    """Every field posts what base posts of it.

    Another test compares all fields with base's engine.
    """
    record, channels = made("EXITREASON")
    client = Client(found(channels, record.name + name), mask)
    record.post("exit 3")
    assert len(client.seen) == value
    record.post("exit 3", Severity.MINOR)
    assert len(client.seen) == value + alarm


def test_a_length_is_posted_when_it_changes() -> None:
    """A text of the same length is another value, but has the same NORD."""
    record, channels = made("MESSAGE")
    client = Client(found(channels, f"{record.name}.NORD"))
    for text in ("abc", "abd", "ab"):
        record.post(text)
    assert len(client.seen) == 2


def test_a_text_as_other_types() -> None:
    """An array of characters reads as its numbers, one by one, as in base."""
    record, channels = made("MESSAGE")
    channel = found(channels, record.name)
    record.post("A\0b")
    assert channel.read(ChannelType.CHAR).data == b"Ab\0"
    assert channel.read(ChannelType.INT, 2).data == b"\0A\0b"
    texts = channel.read(ChannelType.STRING)
    assert (texts.elements, texts.data[:3], texts.data[40:43]) == (3, b"65\0", b"98\0")


def test_what_is_kept_is_forgotten_at_a_change() -> None:
    """A kept answer is never older than the last change of the record, nor of its fields."""
    record, channels = made("PID")
    kept = [found(channels, record.name + name).answers for name in ("", ".SEVR", ".DESC")]
    for change in (17, Severity.NO_ALARM), (17, Severity.MINOR):
        for answers in kept:
            answers[0, 0] = b"", b""
        record.post(*change)
        assert kept == [{}, {}, {}]


def test_channels_are_made_once() -> None:
    """A channel that is asked for again is the same object: a record holds what each has kept."""
    record, channels = made("PID")
    for name in ("", ".SEVR"):
        assert channels.find(record.name + name) is found(channels, record.name + name)
    assert channels.find(f"{record.name}.VAL") is channels.find(record.name)
    assert len(record.caches) == 2
    for none in ("TE:X:PID.SEVR.VAL", "TE:X:PID.SEVR$", "TE:X", "", ".", "TE:X:PID.{}"):
        assert channels.find(none) is None
        assert not channels.has(none)
