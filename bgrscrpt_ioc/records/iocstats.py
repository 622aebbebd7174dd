"""The readings of the IOC under devIocStats' names, types and units, for screens and servers.

Readings only: what would restart an IOC or change its access security there is read-only here.
Records about base's record engine, such as its scan queues, are left out.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.records.ownreadings import OwnReadings, busy
from bgrscrpt_ioc.records.table import IOCSTATS_RECORDS, STRING_SIZE, Record

HALF = STRING_SIZE - 1  # bytes of the first part of a text in two parts
DATE = "%m/%d/%Y %H:%M:%S"  # TODFORMAT of iocAdminSoft.substitutions
FEW, VERY_FEW = 20, 5  # free descriptors for MINOR and MAJOR: LOW and LOLO of ioc.template
BEATS = 2_147_483_647  # then HEARTBEAT begins at 1 again

Value = str | float


def iocstats_prefix(prefix: str, name: str) -> str:
    """Return the beginning of devIocStats' names for an instance's IOC."""
    return f"{prefix}CS:IOC:{name}:DEVIOS:"


def elapsed(seconds: float) -> str:
    """Return a time in devIocStats' form: `00:01:02`, `1 day, 00:01:02`, `12 days, 00:01:02`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    day = {0: "", 1: "1 day, "}.get(days, f"{days} days, ")
    return f"{day}{hour:02d}:{minute:02d}:{second:02d}"


class IocStatsRecords:
    """The records of one instance, by their full names."""

    def __init__(self, prefix: str, readings: OwnReadings) -> None:
        """Make the records. `readings` is asked for all values that may change."""
        self._readings = readings
        self._records = {each.name: self._make(prefix, each) for each in IOCSTATS_RECORDS}
        self.by_full_name: Mapping[str, LiveRecord] = {
            each.name: each for each in self._records.values()
        }
        for name, value in self._fixed().items():
            self._records[name].post(value)

    def _make(self, prefix: str, record: Record) -> LiveRecord:
        made = live(prefix + record.name, record)
        if record.live:
            made.refresh = partial(self._refresh, record.name)
        return made

    def _fixed(self) -> Mapping[str, Value]:
        own = self._readings
        started = time.strftime(DATE, time.localtime(own.started))
        directory, script = str(Path.cwd()), own.config
        return {
            "STARTTOD": started,
            "START_CNT": 1,
            "CPU_CNT": os.cpu_count() or 1,
            "ST_SCRIPT1": _part(script, 0),
            "ST_SCRIPT2": _part(script, 1),
            "ST_SCRIPT": script,
            "KERNEL_VERS": f"{platform.system()} {platform.release()}",
            "EPICS_VERS": f"bgrscrpt_ioc {own.version}",
            "EPICS_VERSION": f"bgrscrpt_ioc {own.version}",
            "HOSTNAME": own.host,
            "APP_DIR1": _part(directory, 0),
            "APP_DIR2": _part(directory, 1),
            "APP_DIR": directory,
            "ENGINEER": os.environ.get("ENGINEER", ""),
            "LOCATION": os.environ.get("LOCATION", ""),
            "PROCESS_ID": os.getpid(),
            "PARENT_ID": os.getppid(),
        }

    def _refresh(self, name: str) -> Awaitable[object] | None:
        """Post a reading as it is now: at once, or when what is returned is done."""
        if name in ("IOC_CPU_LOAD", "LOAD"):
            return self._measure(name)
        look = self._looks[name]
        value, severity = look(self._readings)
        self._records[name].post(value, severity)
        return None

    async def _measure(self, name: str) -> None:
        cpu = (await self._readings.use.measured()).cpu
        self._records[name].post(cpu, busy(cpu))

    _looks: Mapping[str, Callable[[OwnReadings], tuple[Value, Severity]]] = {
        "TOD": lambda _: (time.strftime(DATE), Severity.NO_ALARM),
        "HEARTBEAT": lambda own: (int(own.uptime) % BEATS + 1, Severity.NO_ALARM),
        "UPTIME": lambda own: (elapsed(own.uptime), Severity.NO_ALARM),
        "CA_CLNT_CNT": OwnReadings.clients,
        "CA_CONN_CNT": OwnReadings.clients,
        "RECORD_CNT": lambda own: (own.records, Severity.NO_ALARM),
        "FD_MAX": lambda own: (own.descriptors()[1], Severity.NO_ALARM),
        "FD_CNT": lambda own: (own.descriptors()[0], Severity.NO_ALARM),
        "FD_FREE": lambda own: _free(*own.descriptors()[:2]),
        "SYS_CPU_LOAD": lambda own: _load(own.use.host().cpu),
        "MEM_USED": lambda own: (own.use.now().memory * 1e6, Severity.NO_ALARM),
        "MEM_FREE": lambda own: (own.use.host().memory_free, Severity.NO_ALARM),
        "MEM_MAX": lambda own: (own.use.host().memory, Severity.NO_ALARM),
    }


def _load(cpu: float) -> tuple[Value, Severity]:
    return cpu, busy(cpu)


def _free(count: int, most: int) -> tuple[Value, Severity]:
    free = most - count
    if free > FEW:
        return free, Severity.NO_ALARM
    return free, Severity.MINOR if free > VERY_FEW else Severity.MAJOR


def _part(text: str, at: int) -> str:
    """Return one part of a text that is too long for one string."""
    data = text.encode("utf-8", "replace")
    return data[at * HALF : (at + 1) * HALF].decode("utf-8", "ignore")
