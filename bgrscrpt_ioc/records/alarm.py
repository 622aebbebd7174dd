"""The alarm status of EPICS: why a record is in alarm. `lifecycle` has the severities.

Pure.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.table import Record


class AlarmStatus(IntEnum):
    """The alarm statuses of EPICS, with the names and numbers of base's alarm.h."""

    NO_ALARM = 0
    READ = 1
    WRITE = 2
    HIHI = 3
    HIGH = 4
    LOLO = 5
    LOW = 6
    STATE = 7
    COS = 8
    COMM = 9
    TIMEOUT = 10
    HWLIMIT = 11
    CALC = 12
    SCAN = 13
    LINK = 14
    SOFT = 15
    BAD_SUB = 16
    UDF = 17
    DISABLE = 18
    SIMM = 19
    READ_ACCESS = 20
    WRITE_ACCESS = 21


NONE = Severity.NO_ALARM, AlarmStatus.NO_ALARM


def alarm_of(record: Record, value: Any) -> tuple[Severity, AlarmStatus]:
    """Return the alarm of a number by the limits of its record, as base does."""
    if not isinstance(value, (int, float)):
        return NONE
    if value != value:
        return Severity.INVALID, AlarmStatus.UDF
    low, high = record.alarms
    if high is not None and value >= high:
        return Severity.MAJOR, AlarmStatus.HIHI
    if low is not None and value <= low:
        return Severity.MAJOR, AlarmStatus.LOLO
    return NONE
