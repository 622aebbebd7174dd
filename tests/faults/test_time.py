"""When wall clocks are set or change with the season, durations stay right, and dates follow."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rig.ca import ECA_NORMAL, STRING, TIME
from benchmarks.rig.iocs import until
from bgrscrpt_ioc.lifecycle.events import Severity, State
from bgrscrpt_ioc.output.logdir import LogDirectory
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.loglines import Block
from bgrscrpt_ioc.output.logs import Logs
from bgrscrpt_ioc.output.writer import Writer
from tests.faults.benches import LINE, Bench, P, bench
from tests.faults.clocks import NOT_THE_SCRIPT, WallClock

DAY = 86400
BEATING = """
import sys, time
import bgrscrpt
from server_common.helpers import register_ioc_start

register_ioc_start("BGRSCRPT_01")
while True:
    bgrscrpt.alive()
    print("beat", flush=True)
    time.sleep(0.2)
"""


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path / "clock")


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def near(seen: float, wanted: float) -> bool:
    """Return whether two times are equal, except for what a loaded machine needs."""
    return abs(seen - wanted) < 120


def row(it: Bench) -> tuple[float, float]:
    """Return start and stop of the registry's row, s since the epoch; 0 if there is none."""
    with closing(sqlite3.connect(it.directory / "state" / "iocdb.sqlite")) as database:
        found = database.execute("SELECT start_time, stop_time, running FROM iocrt").fetchone()
    times = [datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text in found[:2]]
    return times[0], 0 if found[2] else times[1]


@pytest.mark.parametrize("step", [DAY, -DAY], ids=["forward", "back"])
def test_a_clock_set_by_a_day_while_a_script_runs(it: Bench, clock: WallClock, step: int) -> None:
    """UPTIME and heartbeat go on; STARTTIME, time stamps, the log and the registry follow."""
    client = it.run(BEATING, *NOT_THE_SCRIPT, "--heartbeat-timeout", "60", environ=clock.environ)
    until(lambda: client.get(P + "REGISTERED", STRING) == "Yes", 60)
    pid, before = client.get(P + "PID"), client.get(P + "UPTIME")
    started = clock.now
    assert near(row(it)[0], started)
    clock.set_by(step)
    it.ioc.wait_for(f"the clock was set {'forward' if step > 0 else 'back'} by 86400 s")

    def starttime() -> float:
        return datetime.fromisoformat(client.get(P + "STARTTIME")).timestamp()

    until(lambda: near(starttime(), started + step), 60)
    beats = client.get(P + "HEARTBEAT")
    until(lambda: client.get(P + "HEARTBEAT") > beats + 2, 60)
    assert before < client.get(P + "UPTIME") < before + 120
    assert (client.get(P + "PID"), client.get(P + "STATUS")) == (pid, State.RUNNING)
    assert it.severity("STATUS") == Severity.NO_ALARM
    assert near(client.read(P + "HEARTBEAT", TIME + 5)["timestamp"], clock.now)
    today = f"TE.BGRSCRPT_01-{datetime.fromtimestamp(clock.now):%Y%m%d}.log"
    until(lambda: client.text(P + "LOG:FILE").endswith(today), 60)
    until(lambda: "beat" in (it.logs / today).read_text(), 60)
    assert client.put_callback(P + "STOP") == ECA_NORMAL
    until(lambda: near(row(it)[1], clock.now), 60)
    assert near(row(it)[0], started)  # as the clock had it then


@pytest.mark.parametrize("step", [DAY, -DAY], ids=["forward", "back"])
def test_a_clock_set_by_a_day_while_a_restart_is_due(
    it: Bench, clock: WallClock, step: int
) -> None:
    """The restart comes when it was due, neither at once nor a day late."""
    options = (*NOT_THE_SCRIPT, "--backoff", "4", "--start-limit", "3", "--healthy-after", "3600")
    client = it.start("raise SystemExit(3)", *options, environ=clock.environ)
    until(lambda: client.get(P + "STATUS") == State.BACKOFF)
    clock.set_by(step)
    assert 0 <= client.get(P + "RETRYIN") <= 4
    until(lambda: client.get(P + "RESTARTS") == 1)
    clock.set_by(step)
    until(lambda: client.get(P + "STATUS") == State.FAILED, 60)
    assert "gave up after 3 failures" in client.text(P + "STATUS:MSG")


def test_healthy_after_is_not_reached_by_setting_the_clock(it: Bench, clock: WallClock) -> None:
    """A day on the wall clock is no day of running, so failures are not forgotten."""
    options = (*NOT_THE_SCRIPT, "--backoff", "0.1", "--start-limit", "2", "--healthy-after", "3600")
    client = it.run("import time\ntime.sleep(1000)\n", *options, environ=clock.environ)
    for number in (1, 2):
        until(lambda: client.get(P + "STATUS") == State.RUNNING)
        clock.set_by(DAY)
        assert it.ioc.wait_for("forward by 86400 s")
        os.kill(client.get(P + "PID"), 9)
        until(lambda number=number: client.get(P + "STARTS") == number + 1 or number == 2)
    until(lambda: client.get(P + "STATUS") == State.FAILED)


def test_midnight_comes_to_a_script_that_prints_nothing(it: Bench, clock: WallClock) -> None:
    """From midnight on LOG:FILE is today's file, even without a line."""
    tomorrow = datetime.fromtimestamp(time.time()).replace(hour=0, minute=0, second=0) + timedelta(
        1
    )
    clock.set_to(tomorrow - timedelta(minutes=10))
    client = it.run(environ=clock.environ)
    it.print(3)
    assert client.text(P + "LOG:FILE").endswith(f"{tomorrow - timedelta(1):%Y%m%d}.log")
    clock.set_to(tomorrow - timedelta(seconds=4))
    until(lambda: client.text(P + "LOG:FILE").endswith(f"{tomorrow:%Y%m%d}.log"))


# --- the calendar --------------------------------------------------------------------------------

# What libc reads, and the same for zoneinfo, which is not asked by the code under test.
ZONES = {
    "Europe/London": "GMT0BST,M3.5.0/1,M10.5.0",
    "America/Havana": "CST5CDT,M3.2.0/0,M11.1.0/1",
    "Asia/Beirut": "EET-2EEST,M3.5.0/0,M10.5.0/0",
}
CHANGES = {
    "Europe/London": ("2026-03-29", "2026-10-25"),
    "America/Havana": ("2026-03-08", "2026-11-01"),
    "Asia/Beirut": ("2026-03-29", "2026-10-25"),
}


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ZoneInfo]]:
    """Set the local time zone of this process."""

    def use(name: str) -> ZoneInfo:
        try:
            info = ZoneInfo(name)
        except ZoneInfoNotFoundError:
            pytest.skip("NO TIME ZONES (Debian: tzdata): the change of seasons is NOT tested")
        monkeypatch.setenv("TZ", ZONES[name])
        time.tzset()
        return info

    yield use
    monkeypatch.undo()
    time.tzset()


def lines(path: Path) -> list[str]:
    """Return the script's lines in a file."""
    found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    return [match[1] for match in found if match and not match[1].startswith("--- ")]


@pytest.mark.parametrize(
    ("name", "day"), [(name, day) for name, days in CHANGES.items() for day in days]
)
def test_the_change_of_seasons(
    tmp_path: Path, zone: Callable[[str], ZoneInfo], name: str, day: str
) -> None:
    """Around the change there is one file for each local date, with all its lines in order."""
    info = zone(name)
    begin = datetime.fromisoformat(day).replace(tzinfo=info).timestamp() - DAY
    offsets = {datetime.fromtimestamp(begin + n * DAY, info).utcoffset() for n in range(4)}
    assert len(offsets) == 2, "the clocks do not change then"
    expected: defaultdict[str, list[str]] = defaultdict(list)
    writer = Writer("test")
    log = LogFile(tmp_path, "X", writer)
    for number in range(0, 3 * DAY, 97):
        when = begin + number
        log.write(Block(b"%d\n" % number, 1), when)
        expected[f"X-{datetime.fromtimestamp(when, info):%Y%m%d}.log"].append(str(number))
    log.close()
    assert writer.close(60)
    assert log.dropped == 0
    assert {path.name: lines(path) for path in tmp_path.iterdir()} == expected


async def test_the_change_of_seasons_is_noted(
    tmp_path: Path, zone: Callable[[str], ZoneInfo]
) -> None:
    """Between two lines with one stamp a remark says what happened to local time."""
    zone("Europe/London")
    shelf = Logs(tmp_path)
    output = shelf.output("X", 1000, None, lambda *_: None)
    change = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
    shelf.tick(change - 2, time.monotonic())
    shelf.tick(change - 1, time.monotonic() + 1)
    shelf.tick(change, time.monotonic() + 2)
    shelf.tick(change + 1, time.monotonic() + 3)
    del output
    assert shelf.close(60)
    text = (tmp_path / "X-20261025.log").read_text()
    assert "2026-10-25 01:00:00.000 --- local time is UTC+0000 (GMT) from here\n" in text
    assert text.count("local time is") == 2  # the first: what it is when the look begins


@given(st.data())
def test_no_clock_deletes_what_is_to_be_kept(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """However the clock jumps, `keep_days` days stay, and all that seem to be in the future."""
    path = tmp_path_factory.mktemp("log")
    keep = data.draw(st.integers(1, 5))
    directory = LogDirectory(path, "X", keep_days=keep)
    written: set[date] = set()
    moments = st.sampled_from([date(1970, 1, 1), date(2026, 11, 24), date(2036, 2, 7)])
    for _ in range(data.draw(st.integers(1, 12))):
        today = data.draw(moments) + timedelta(data.draw(st.integers(0, 9)))
        file, descriptor = directory.open(today, 1)
        os.close(descriptor)
        before = {each.day for each in directory.segments()}
        written.add(today)
        directory.prune(today, file)
        after = {each.day for each in directory.segments()}
        assert {each for each in before if each >= today} <= after
        assert len(after) >= min(keep, len(written))


@pytest.mark.parametrize("wrong", [date(1970, 1, 1), date(2036, 11, 24)])
def test_a_clock_that_is_wrong_at_boot(tmp_path: Path, wrong: date) -> None:
    """An hour in another year costs at most the oldest day, and none of today's lines."""
    today = date(2026, 11, 24)
    days = [today - timedelta(n) for n in range(1, 91)]
    for day in days:
        (tmp_path / f"X-{day:%Y%m%d}.log").write_text("a\n")
    writer = Writer("test")
    log = LogFile(tmp_path, "X", writer, keep_days=90, keep_mb=1)
    for day in (wrong, today, wrong + timedelta(1), today):
        when = datetime(day.year, day.month, day.day, 12).timestamp()
        log.write(Block(f"of {day}\n".encode(), 1), when)
    log.close()
    assert writer.close(60)
    left = {path.name for path in tmp_path.iterdir()}
    assert {f"X-{day:%Y%m%d}.log" for day in days[:-2]} <= left
    assert lines(tmp_path / "X-20261124.log") == ["of 2026-11-24"] * 2
    if wrong > today:  # else it is the oldest now, and went as such
        assert lines(tmp_path / f"X-{wrong:%Y%m%d}.log") == [f"of {wrong}"]


async def test_midnight_of_500_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All get the new day's file, old files are deleted, and the directory is read a few times."""
    count, looked = 500, []
    real = os.scandir

    def scandir(path: Any) -> Any:
        looked.append(threading.current_thread().name)
        return real(path)

    midnight = datetime(2026, 11, 25).timestamp()
    now = midnight - 1
    for number in range(count):
        for day in (21, 22, 23):
            (tmp_path / f"X{number}-202611{day}.log").touch()
    monkeypatch.setattr(os, "scandir", scandir)
    shelf = Logs(tmp_path, apart=0.001, clock=lambda: now)
    paths: dict[int, str] = {}

    def publish(number: int, name: str, value: Any) -> None:
        if name == "LOG:FILE":
            paths[number] = value

    for number in range(count):
        shelf.output(
            f"X{number}",
            100,
            None,
            lambda name, value, _severity=0, number=number: publish(number, name, value),
            keep_days=2,
        )

    async def all_at(day: str) -> None:
        async with asyncio.timeout(60):
            while sum(path.endswith(day) for path in paths.values()) < count:
                await asyncio.sleep(0.01)

    await all_at("-20261124.log")
    looks = len(looked)
    now = midnight + 1
    shelf.tick(now, time.monotonic() + 2)
    await all_at("-20261125.log")
    assert shelf.close(60)
    assert set(looked) == {"log-files"}
    assert looks <= 2 + looks // 100
    assert len(looked) < 10
    assert len(list(tmp_path.iterdir())) == 3 * count  # two days and today
