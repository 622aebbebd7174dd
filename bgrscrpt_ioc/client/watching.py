"""Watches PVs for as long as somebody wants, also while their IOC is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any, Self

from bgrscrpt_ioc.client.pvs import CONNECT_TIMEOUT, PvReading
from bgrscrpt_ioc.host.interrupts import Interrupts


class PvWatch:
    """Watches PVs, also while their IOC is away."""

    def __init__(self, names: Iterable[str]) -> None:
        """Watch each of `names`; `away` says whether the first of them is missing."""
        from epics import PV

        self.newest: dict[str, Any] = {}
        names = list(names)
        self._first, self._connected = names[0], False
        self._grace = time.monotonic() + CONNECT_TIMEOUT  # until then it may be missing
        self._came = threading.Event()
        self._interrupts = Interrupts()
        self._pvs = [
            PV(
                name,
                callback=self._changed,
                connection_callback=self._connection,
                auto_monitor=True,
            )
            for name in names
        ]

    def __enter__(self) -> Self:
        self._interrupts.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._interrupts.__exit__()
        for pv in self._pvs:
            pv.disconnect()

    @property
    def away(self) -> bool:
        """Return whether the first PV is missing, after the time to find it."""
        return not self._connected and time.monotonic() > self._grace

    @property
    def looked(self) -> bool:
        """Return whether the first PV was found, or the time to find it has passed."""
        return self._connected or self.away

    def wait(self, timeout: float) -> bool:
        """Wait until something has changed; return False after `timeout` seconds.

        Raises:
            KeyboardInterrupt: ^C has come, now or in a callback since the last call.
        """
        self._interrupts.check()
        came = self._came.wait(timeout)
        self._came.clear()
        return came

    def _changed(self, pvname: str = "", value: Any = None, **_more: Any) -> None:
        self.newest[pvname] = value  # in a thread of libca
        self._came.set()

    def _connection(self, pvname: str = "", conn: bool = False, **_more: Any) -> None:
        if pvname == self._first:
            self._connected = conn
            if not conn:
                self._grace = 0.0
        self._came.set()


class PvTable(PvWatch):
    """The readings of PVs as they are now, without those of PVs that are missing."""

    def __init__(self, names: Iterable[str]) -> None:
        """Watch each of `names`; there must be at least one."""
        self.readings: dict[str, PvReading] = {}
        names = list(names)
        self._count = len(names)
        super().__init__(names)

    def wait_for_all(self) -> None:
        """Wait until all have been read, or the time for that has passed."""
        while len(self.readings) < self._count and (left := self._grace - time.monotonic()) > 0:
            self.wait(left)

    def _changed(self, pvname: str = "", value: Any = None, **more: Any) -> None:
        self.readings[pvname] = PvReading(value, int(more.get("severity") or 0), "")
        super()._changed(pvname, value, **more)

    def _connection(self, pvname: str = "", conn: bool = False, **more: Any) -> None:
        if not conn:
            self.readings.pop(pvname, None)
        super()._connection(pvname, conn, **more)
