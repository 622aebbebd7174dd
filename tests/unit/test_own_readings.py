"""The IOC's own readings: their alarms, and times in the form of devIocStats."""

from __future__ import annotations

import pytest

from bgrscrpt_ioc.config.iocsettings import IOCSTATS_PREFIX, LONGEST_IOCSTATS_PV
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.iocstats import elapsed, iocstats_prefix
from bgrscrpt_ioc.records.ownreadings import OwnReadings, busy, near
from bgrscrpt_ioc.records.table import IOCSTATS_RECORDS

NONE, MINOR, MAJOR = Severity.NO_ALARM, Severity.MINOR, Severity.MAJOR


@pytest.mark.parametrize(
    ("count", "most", "severity"),
    [(79, 100, NONE), (80, 100, MINOR), (95, 100, MAJOR), (120, 100, MAJOR), (9, 0, NONE)],
)
def test_alarm_near_a_limit(count: int, most: int, severity: Severity) -> None:
    """The counts of clients and open files are in alarm before their limits are reached."""
    assert near(count, most) == severity
    own = OwnReadings(["A"], None)
    own.serve(lambda: (count, most), 7)
    told: list[object] = []
    assert own.refresh("IOC:CLIENTS", lambda *each: told.append(each)) is None
    assert told == [("IOC:CLIENTS", count, severity)]


@pytest.mark.parametrize(
    ("cpu", "severity"), [(69.9, NONE), (70, MINOR), (80, MAJOR), (150, MAJOR)]
)
def test_alarm_of_a_busy_processor(cpu: float, severity: Severity) -> None:
    """CPU usage is in alarm at the limits of devIocStats."""
    assert busy(cpu) == severity


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(62.9, "00:01:02"), (86_400, "1 day, 00:00:00"), (1_040_461, "12 days, 01:01:01")],
)
def test_elapsed_time(seconds: float, said: str) -> None:
    """An elapsed time has the form of devIocStats' UPTIME."""
    assert elapsed(seconds) == said


def test_the_longest_name() -> None:
    """The limit on a PV's name is checked with the longest name that is served."""
    longest = max((each.name for each in IOCSTATS_RECORDS), key=len)
    assert len(f"DEVIOS:{longest}") == len(LONGEST_IOCSTATS_PV)
    assert iocstats_prefix("", "X") == f"{IOCSTATS_PREFIX}X:DEVIOS:"
