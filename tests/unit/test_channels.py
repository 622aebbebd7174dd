"""Channels without a network: what they take, what they read as, whom they tell."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from caproto import ChannelType

from bgrscrpt_ioc.ca.channels import DBE_ALARM, DBE_VALUE, Channel
from bgrscrpt_ioc.ca.kinds import channel_of
from bgrscrpt_ioc.ca.lookup import field_channel, find
from bgrscrpt_ioc.ca.puts import BUSY, DONE, Writable
from bgrscrpt_ioc.ca.pvs import InstancePVs
from bgrscrpt_ioc.ca.records import RECORDS
from bgrscrpt_ioc.events import Severity

BY_NAME = {record.name: record for record in RECORDS}


def made(name: str) -> Channel:
    return channel_of(f"TE:X:{name}", BY_NAME[name])


@dataclass
class Watcher:
    """Reads what it is told of."""

    channel: Channel
    mask: int = DBE_VALUE | DBE_ALARM
    seen: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.channel.subscribers += (self,)

    def changed(self) -> None:
        self.seen.append(self.channel.read(self.channel.kind).data)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PID", "17"), ("UPTIME", None), ("STATUS", 7), ("STATUS", "Running"), ("LOG", 1)],
)
def test_a_wrong_value_is_refused(name: str, value: object) -> None:
    """A value that the record cannot have stops who publishes it, not who reads it later."""
    channel = made(name)
    before = channel.value
    with pytest.raises(ValueError, match=f"TE:X:{name}: "):
        channel.post(value)
    assert channel.value == before


def test_a_post_tells_who_asked_for_it() -> None:
    """A change of value or alarm reaches those whose mask has it; no change reaches nobody."""
    channel = made("EXITCODE")
    values, alarms = Watcher(channel, DBE_VALUE), Watcher(channel, DBE_ALARM)
    channel.post(0)
    channel.post(3)
    channel.post(3, Severity.MAJOR)
    channel.post(4, Severity.MAJOR)
    assert values.seen == [b"\0\0\0\3", b"\0\0\0\4"]
    assert alarms.seen == [b"\0\0\0\3"]


def test_the_time_stamp_is_that_of_the_change() -> None:
    """What is published again is as old as it was."""
    channel = made("PID")
    channel.post(17)
    stamp = channel.stamp
    channel.post(17)
    assert channel.stamp == stamp


def test_a_text_as_other_types() -> None:
    """An array of characters reads as the numbers they are, each by itself, as in base."""
    channel = made("MESSAGE")
    channel.post("A\0b")
    assert channel.read(ChannelType.CHAR).data == b"Ab\0"
    assert channel.read(ChannelType.INT, 2).data == b"\0A\0b"
    texts = channel.read(ChannelType.STRING)
    assert (texts.count, texts.data[:3], texts.data[40:43]) == (3, b"65\0", b"98\0")


def test_a_long_string_follows_its_text() -> None:
    """A monitor on the long form of a text sees its changes."""
    channel = made("EXITREASON")
    long_form = field_channel(channel, "VAL$")
    assert long_form is not None
    watcher = Watcher(long_form)
    channel.post("exit 3")
    channel.post("exit 3", Severity.MINOR)
    assert watcher.seen == [b"exit 3\0"]


def test_fields_are_made_once() -> None:
    """A field that is asked for again is the same, so that its monitors are told."""
    channels = {"TE:X:PID": made("PID")}
    field = find(channels, "TE:X:PID.SEVR")
    assert field is not None
    assert find(channels, "TE:X:PID.SEVR") is field
    for none in ("TE:X:PID.SEVR.VAL", "TE:X:PID.SEVR$", "TE:X", "", ".", "TE:X:PID.{}"):
        assert find(channels, none) is None


async def test_a_command_before_the_instance_is_there_fails() -> None:
    """While the IOC starts, a put is completed too: as failed."""
    pvs = InstancePVs("TE:", "X", log_tail=1000)
    start = pvs.pvdb["TE:X:START"]
    assert isinstance(start, Writable)
    completed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    start.put([1], "alice@ndw1234", completed.set_result)
    assert start.value == BUSY
    assert not await completed
    assert (start.value, start.severity) == (DONE, Severity.MAJOR)
    assert pvs.pvdb["TE:X:UPTIME"].refresh is not None
    pvs.pvdb["TE:X:UPTIME"].refresh()  # nobody to ask, and no error
