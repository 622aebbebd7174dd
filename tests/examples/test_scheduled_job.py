"""When the scheduled job of the examples runs: any clock, any time zone, pure."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.process.order import BOOTSTRAP

LONDON = "Europe/London"  # 2026: to summer time on 29 March 01:00 UTC, back on 25 October 01:00 UTC


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """The example, imported as the IOC has scripts import: with its `bgrscrpt` and its hook."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BOOTSTRAP.parent)
        patch.delitem(sys.modules, "bgrscrpt", raising=False)  # that for scripts run by hand
        hook = importlib.import_module("_bgrscrpt_hook")
        patch.setattr(sys, "meta_path", [hook.Finder(), *sys.meta_path])
        yield importlib.import_module("scheduled_job")


@pytest.fixture
def london(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is London's."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", LONDON)
        time.tzset()
        yield
    time.tzset()


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.usefixtures("london")
@pytest.mark.parametrize(
    ("at", "now", "due"),
    [
        ("06:00", "2026-01-01 05:59", ["2026-01-01 06:00", "2026-01-02 06:00"]),
        ("06:00", "2026-01-01 06:00", ["2026-01-02 06:00"]),
        ("06:00", "2026-03-28 07:00", ["2026-03-29 05:00", "2026-03-30 05:00"]),
        ("06:00", "2026-10-24 07:00", ["2026-10-25 06:00", "2026-10-26 06:00"]),
        # 01:30 is not there on 29 March, and is there twice on 25 October.
        ("01:30", "2026-03-28 02:00", ["2026-03-29 01:30", "2026-03-30 00:30"]),
        ("01:30", "2026-10-24 02:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
    ],
)
def test_once_a_day(example: ModuleType, at: str, now: str, due: list[str]) -> None:
    """At the local time of day, once on every day, those included on which the clocks change."""
    when = utc(now)
    for expected in due:
        when = example.daily(at)(when)
        assert when == utc(expected)


@given(
    now=st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1)),
    minutes=st.sampled_from([0.02, 1, 5, 15, 60, 1440]),
)
def test_every_so_often(example: ModuleType, now: datetime, minutes: float) -> None:
    """The next run is later, at most a period later, and at a multiple of it."""
    due = example.every(minutes)(now.replace(tzinfo=UTC))
    late = (due - now.replace(tzinfo=UTC)).total_seconds()
    assert 0 < late <= minutes * 60 + 1e-3
    if minutes >= 1:
        assert due.timestamp() % (minutes * 60) == 0


def runs(example: ModuleType, *looks: str) -> list[str]:
    """At which of these looks at the clock the job of every 15 minutes runs."""
    timetable = example.Timetable(example.every(15), utc(looks[0]))
    return [look[11:] for look in looks if timetable.is_due(utc(look))]


def test_a_missed_run(example: ModuleType) -> None:
    """A clock set forward, or a machine that slept, over four runs: one of them is made up for."""
    looks = ["2026-01-01 12:01", "2026-01-01 13:02", "2026-01-01 13:03", "2026-01-01 13:15"]
    assert runs(example, *looks) == ["13:02", "13:15"]


def test_a_clock_set_back_a_little(example: ModuleType) -> None:
    """A run that has been is not repeated when the clock comes by its time again."""
    looks = ["2026-01-01 12:01", "2026-01-01 12:15", "2026-01-01 12:14", "2026-01-01 12:15"]
    assert runs(example, *looks, "2026-01-01 12:30") == ["12:15", "12:30"]


def test_a_clock_set_back_a_lot(example: ModuleType) -> None:
    """A clock that was wrong by years does not make the job wait for years."""
    looks = ["2036-01-01 12:01", "2036-01-01 12:15", "2026-01-01 09:01", "2026-01-01 09:15"]
    assert runs(example, *looks) == ["12:15", "09:15"]


@given(st.lists(st.integers(-3600, 7200), max_size=50))
def test_whatever_the_clock_does(example: ModuleType, steps: list[int]) -> None:
    """The next run is never due more than two periods from now."""
    now = utc("2026-01-01 12:00")
    timetable = example.Timetable(example.every(15), now)
    for step in steps:
        now += timedelta(seconds=step)
        timetable.is_due(now)
        assert now < timetable.due <= now + timedelta(minutes=30)
