"""The readings of the IOC itself, which each of its instances shows as `IOC:...`.

Readings that are current only when somebody reads them are measured then. No protocol is known
here.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.limits.ownuse import OwnUse

NEARLY, ALMOST = 0.8, 0.95  # of a limit: MINOR, MAJOR
BUSY, TOO_BUSY = 70.0, 80.0  # % of a processor for MINOR and MAJOR, as in devIocStats

Publish = Callable[[str, "str | float", Severity], None]


class OwnReadings:
    """The readings of this IOC.

    Attributes:
        version, host, config: texts.
        started: wall clock, s since 1970.
        names: of its instances.
        records: how many PVs it serves.
    """

    def __init__(self, names: Sequence[str], config: Path | None) -> None:
        """Start the IOC's uptime; `config` is the file of its settings."""
        self.version, self.host = __version__, socket.gethostname()
        self.config = "" if config is None else str(config.absolute())
        self.names, self.records = tuple(names), 0
        self.started, self._since = time.time(), time.monotonic()
        self.use = OwnUse()
        self._clients: Callable[[], tuple[int, int]] = lambda: (0, 0)

    def serve(self, clients: Callable[[], tuple[int, int]], records: int) -> None:
        """Remember what the faces know: how many clients there are and may be, and PVs."""
        self._clients, self.records = clients, records

    @property
    def uptime(self) -> float:
        """Return the seconds since the IOC was started."""
        return time.monotonic() - self._since

    def clients(self) -> tuple[int, Severity]:
        """Return how many clients there are, in alarm if only few more may come."""
        count, most = self._clients()
        return count, near(count, most)

    def descriptors(self) -> tuple[int, int, Severity]:
        """Return how many files and sockets are open and may be, in alarm near the limit."""
        count, most = self.use.descriptors()
        return count, most, near(count, most)

    def show(self, publish: Publish) -> None:
        """Publish for an instance the readings that do not change."""
        started = datetime.fromtimestamp(self.started).astimezone().isoformat("T", "seconds")
        for name, value in {
            "VERSION": self.version,
            "HOST": self.host,
            "PID": os.getpid(),
            "STARTTIME": started,
            "INSTANCES": "\n".join(self.names),
            "CONFIG": self.config,
        }.items():
            publish(f"IOC:{name}", value, Severity.NO_ALARM)

    def refresh(self, name: str, publish: Publish) -> Awaitable[object] | None:
        """Publish a reading as it is now: at once, or when what is returned is done."""
        match name.removeprefix("IOC:"):
            case "UPTIME":
                publish(name, self.uptime, Severity.NO_ALARM)
            case "CLIENTS":
                publish(name, *self.clients())
            case "FDS":
                count, _, severity = self.descriptors()
                publish(name, count, severity)
            case "MEMORY":
                publish(name, self.use.now().memory, Severity.NO_ALARM)
            case _:
                return self._measure(name, publish)
        return None

    async def _measure(self, name: str, publish: Publish) -> None:
        cpu = (await self.use.measured()).cpu
        publish(name, cpu, busy(cpu))


def near(count: float, most: float) -> Severity:
    """Return the alarm of a count with a limit; 0 is no limit."""
    if not most or count < NEARLY * most:
        return Severity.NO_ALARM
    return Severity.MINOR if count < ALMOST * most else Severity.MAJOR


def busy(cpu: float) -> Severity:
    """Return the alarm of a processor with this use, in %."""
    if cpu < BUSY:
        return Severity.NO_ALARM
    return Severity.MINOR if cpu < TOO_BUSY else Severity.MAJOR
