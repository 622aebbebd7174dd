"""Live records without any protocol: which values they take, whom they notify, and puts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from array import array
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.access.rights import Access, Asker, NoAccessError, Rights
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.lifecycle.events import CommandFailed, Severity, State
from bgrscrpt_ioc.records import fresh
from bgrscrpt_ioc.records.alarm import AlarmStatus
from bgrscrpt_ioc.records.instance import InstanceRecords
from bgrscrpt_ioc.records.kinds import PIECE, live
from bgrscrpt_ioc.records.live import (
    ALARM,
    AT_ONCE,
    STATUS,
    VALUE,
    LiveRecord,
    ReadOnlyError,
    WrongValueError,
)
from bgrscrpt_ioc.records.puts import BUSY, DONE
from bgrscrpt_ioc.records.table import RECORDS, Record

BY_NAME = {record.name: record for record in RECORDS}
HERE, ELSEWHERE = Asker("me", "here", "127.0.0.1", "127.0.0.1"), Asker("me", "", "10.9.8.7", "")


def made(name: str) -> LiveRecord:
    return live(f"TE:X:{name}", BY_NAME[name])


@dataclass(eq=False)
class Watcher:
    """Notes each change that a record reports."""

    record: LiveRecord
    mask: int = VALUE | ALARM
    seen: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record.watch(self)

    def changed(self) -> None:
        self.seen.append(self.record.value)


@dataclass
class Commands:
    """Carries out commands, or fails with `failure`."""

    pvs: InstanceRecords
    failure: str = ""
    asked: list[str] = field(default_factory=list)

    async def start(self, by: str) -> None:
        self.asked.append(by)
        if self.failure:
            raise CommandFailed(self.failure)
        self.pvs.publish("STATUS", State.RUNNING)

    stop = restart = check = stack = start

    def set_autorestart(self, on: bool, by: str) -> None:
        self.asked.append(f"autorestart {on} {by}")
        self.pvs.publish("AUTORESTART", int(on))

    def refresh(self, name: str) -> Awaitable[object] | None:
        self.asked.append(name)
        return None


@pytest.mark.parametrize(
    ("name", "value"),
    [("PID", "17"), ("UPTIME", None), ("STATUS", 7), ("STATUS", "Running"), ("LOG", 1)],
)
def test_a_wrong_value_is_refused(name: str, value: object) -> None:
    """A wrong value raises an error where it is published, and not where it is read later."""
    record = made(name)
    before = record.value
    with pytest.raises(WrongValueError, match=f"TE:X:{name}: "):
        record.post(value)
    assert record.value == before


async def test_many_subscribers_are_told_bit_by_bit() -> None:
    """A round of the event loop tells 200; who has gone meanwhile is not told."""
    record, watchers = made("PID"), list[Watcher]()
    for _ in range(5 * AT_ONCE):
        watchers.append(Watcher(record))
    record.post(1)
    assert sum(len(each.seen) for each in watchers) == AT_ONCE
    record.unwatch(watchers[-1])
    for _ in range(5):
        await asyncio.sleep(0)
    assert [each.seen for each in watchers] == [[1]] * (5 * AT_ONCE - 1) + [[]]


@pytest.mark.parametrize("at", [0, PIECE // 8 - 1, PIECE // 8, 99_999])
def test_one_other_number_is_another_array(at: int) -> None:
    """An array is posted if one of 100,000 numbers is another; NaN is no other number than NaN."""
    record = live("TE:W", Record("W", "waveform", "", elements="DOUBLE", size=100_000))
    numbers = array("d", [1.5, float("nan")]) * 50_000
    record.post(numbers)
    watcher = Watcher(record)
    record.post(array("d", numbers))
    assert watcher.seen == []
    numbers = array("d", numbers)
    numbers[at] = 2
    record.post(numbers)
    assert watcher.seen == [numbers]
    record.post(numbers[:-1])
    assert len(watcher.seen) == 2


@pytest.mark.parametrize(("value", "index"), [(1, 1), (0.0, 0), ("Busy", 1), ("1", 1), (" 0 ", 0)])
def test_a_choice(value: object, index: int) -> None:
    """Clients put the text of a choice, its number, or its number as a text."""
    assert made("START").understood(value) == index


def test_nan_does_not_become_the_highest_value() -> None:
    """A put of NaN is NaN in an ao, as in base, whatever its limits; a whole number refuses it."""
    nan = float("nan")
    limited = Record("SP", "ao", "", low=0, high=400)
    assert isnan(live("TE:SP", limited).understood(nan))
    assert live("TE:SP", limited).understood(float("inf")) == 400
    for record in (
        Record("N", "longout", "", low=0, high=400),
        Record("W", "waveform", "", elements="LONG", size=2),
    ):
        with pytest.raises(WrongValueError):
            live("TE:N", record).understood(nan)


@given(st.integers() | st.floats() | st.text() | st.none() | st.binary())
def test_a_choice_is_one_or_an_error(value: object) -> None:
    """Whatever a client puts, it is one of the choices or refused."""
    with suppress(WrongValueError):
        assert made("START").understood(value) in (0, 1)


def test_a_post_tells_who_asked_for_it() -> None:
    """A change of value, severity or status reaches its watchers; no change reaches nobody."""
    record = made("EXITCODE")
    values, alarms, statuses = (Watcher(record, mask) for mask in (VALUE, ALARM, STATUS))
    record.post(0)
    record.post(3)
    record.post(3, Severity.MAJOR)
    record.post(4, Severity.MAJOR, AlarmStatus.WRITE)
    record.unwatch(values)
    record.post(5, Severity.MAJOR, AlarmStatus.WRITE)
    assert (values.seen, alarms.seen, statuses.seen) == ([3, 4], [3, 4], [3, 4])


def test_the_time_stamp_is_that_of_the_change() -> None:
    """A value that is published again keeps its time stamp."""
    record = made("PID")
    record.post(17)
    stamp = record.stamp
    record.post(17)
    assert record.stamp == stamp


async def test_another_face() -> None:
    """A face of a few lines shows every record, watches one, puts, and gets the result."""
    pvs = InstanceRecords("TE:", "X", log_tail=1000, procserv_pvs=True)
    commands = Commands(pvs)
    pvs.connect(commands)
    access = Access(Security())
    shown = {
        name: (
            each.value,
            each.severity.name,
            each.status.name,
            each.stamp > 0,
            each.record.desc,
            each.record.egu,
            each.record.prec,
            each.record.limits,
            each.choices,
            Rights.WRITE in access.rights(HERE, writable=each.writable),
        )
        for name, each in pvs.by_full_name.items()
    }
    assert len(shown) > len(RECORDS)
    assert shown["TE:X:PROGRESS"][-6:] == (
        "Progress that the script reports", "%", 1, (0, 100), (), False,
    )  # fmt: skip
    assert shown["TE:X:START"][-2:] == (("Done", "Busy"), True)

    start, status = pvs.by_full_name["TE:X:START"], Watcher(pvs.record("STATUS"))
    for value, failure in (1, ""), ("Busy", "no script"):
        commands.failure = failure
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        access.put(start, value, HERE, ended.set_result)
        assert start.value == BUSY
        assert await ended == failure
        assert (start.value, start.severity) == (DONE, Severity.MAJOR if failure else 0)
    assert status.seen == [State.RUNNING]
    assert commands.asked == ["me@here"] * 2
    with pytest.raises(NoAccessError, match="has no right to write TE:X:START"):
        access.put(start, 1, ELSEWHERE, ended.set_result)
    with pytest.raises(WrongValueError, match="2 is none of Done, Busy"):
        access.put(start, 2, HERE, ended.set_result)
    with pytest.raises(ReadOnlyError, match="TE:X:PID is read-only"):
        access.put(pvs.record("PID"), 1, HERE, ended.set_result)


def test_a_face_needs_nothing_of_channel_access() -> None:
    """Records and access to them come without caproto, and without a line of `ca/`."""
    code = (
        "import sys, bgrscrpt_ioc.records.instance, bgrscrpt_ioc.records.database,"
        " bgrscrpt_ioc.access.rights\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'caproto'"
        " or m.startswith('bgrscrpt_ioc.ca')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


async def test_a_command_before_the_instance_is_there_fails() -> None:
    """A put to a command while the IOC starts completes, as failed."""
    pvs = InstanceRecords("TE:", "X", log_tail=1000)
    start = pvs.record("START")
    completed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    start.put(1, "alice@ndw1234", completed.set_result)
    assert start.value == BUSY
    assert await completed == "the IOC is starting"
    assert (start.value, start.severity) == (DONE, Severity.MAJOR)
    read: list[int] = []
    pvs.record("UPTIME").when_current(lambda: read.append(1))  # nobody to ask, and no error
    assert read == [1]


# --- live readings -------------------------------------------------------------------------------


class Disk:
    """A live reading that takes time; its value is that of the moment when the look began."""

    def __init__(self) -> None:
        self.record = made("SCRIPT:CHANGED")
        self.record.refresh = self.look
        self.now = 0
        self.looks: list[asyncio.Future[None]] = []
        self.read: list[int] = []

    def look(self) -> Awaitable[object]:
        look: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found = self.now
        look.add_done_callback(lambda _: self.record.post(found))
        self.looks.append(look)
        return look

    def get(self) -> None:
        self.record.when_current(lambda: self.read.append(self.record.value))


async def test_a_reader_gets_what_is_true_after_it_asked() -> None:
    """Each reader gets a value that was measured after its request; one look runs at a time."""
    disk = Disk()
    disk.get()
    disk.now = 1
    disk.get()
    disk.get()
    assert (len(disk.looks), disk.read) == (1, [])
    disk.looks[0].set_result(None)
    await asyncio.sleep(0)
    assert (len(disk.looks), disk.read) == (2, [0])
    disk.looks[1].set_result(None)
    await asyncio.sleep(0)
    assert (len(disk.looks), disk.read) == (2, [0, 1, 1])


async def test_a_look_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader gets the last value, with its old time, and is not called again."""
    monkeypatch.setattr(fresh, "PATIENCE", 0.01)
    disk = Disk()
    stamp = disk.record.stamp
    late = asyncio.get_running_loop().create_future()
    disk.record.when_current(lambda: late.set_result(disk.record.stamp))
    assert await late == stamp
    disk.looks[0].set_result(None)
    await asyncio.sleep(0)


async def test_a_look_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """If a look fails, the reader gets the last value, and the log has the fault."""
    disk = Disk()
    disk.get()
    disk.looks[0].set_exception(RuntimeError("cucumber"))
    await asyncio.sleep(0)
    assert disk.read == [0]
    assert "TE:X:SCRIPT:CHANGED: a fault of the IOC: RuntimeError('cucumber')" in caplog.text


async def test_a_look_that_cannot_begin(caplog: pytest.LogCaptureFixture) -> None:
    """If a look cannot begin, the reader gets the last value and keeps its connection."""
    disk = Disk()

    def broken() -> None:
        raise ZeroDivisionError

    disk.record.refresh = broken
    disk.get()
    assert disk.read == [0]
    assert "ZeroDivisionError" in caplog.text


# --- procServControl's names -----------------------------------------------------------------


async def test_procserv_commands_switch_autorestart() -> None:
    """STOP switches AUTORESTART off, RESTART switches it on; START and TOGGLE work as named."""
    pvs = InstanceRecords("TE:", "X", log_tail=1000, procserv_pvs=True)
    commands = Commands(pvs)
    pvs.connect(commands)
    under = "TE:CS:PS:X:"
    switched: list[int] = []
    for name in ("START", "RESTART", "STOP", "STOP", "TOGGLE", "TOGGLE"):
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        pvs.by_full_name[under + name].put(1, "me", ended.set_result)
        assert await ended == ""
        switched.append(pvs.by_full_name[f"{under}AUTORESTART"].value)
    assert switched == [0, 1, 0, 0, 1, 0]
    assert commands.asked.count("me") == 4


async def test_procserv_status_alarms() -> None:
    """Every state without a running script is Shutdown, in MAJOR alarm."""
    pvs = InstanceRecords("TE:", "X", log_tail=1000, procserv_pvs=True)
    status = pvs.by_full_name["TE:CS:PS:X:STATUS"]
    found = [(status.value, status.severity)]
    for state in (State.RUNNING, State.BACKOFF):
        pvs.publish("STATUS", state)
        found.append((status.value, status.severity))
    assert found == [(1, Severity.MAJOR), (0, Severity.NO_ALARM), (1, Severity.MAJOR)]
    assert status.status is AlarmStatus.STATE


async def test_procserv_output_can_be_hidden() -> None:
    """With SHOWOUT No, IOCOUT stays as it is; with Yes it has the newest again."""
    pvs = InstanceRecords("TE:", "X", log_tail=1000, procserv_pvs=True)
    output, show = (pvs.by_full_name[f"TE:CS:PS:X:{name}"] for name in ("IOCOUT", "SHOWOUT"))
    found: list[str] = []
    for on, line in (1, "one"), (0, "two"), (1, "three"):
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        show.put(on, "me", ended.set_result)
        await ended
        pvs.publish("LOG", line)
        found.append(output.value)
    assert found == ["one", "one", "three"]
