"""A block and some IOCs of the instrument: by genie_python if the script uses it, else by pyepics.

Reads and puts; what follows is decided elsewhere. What does not answer is None, and no error.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from general.utilities._restart_policy import NO_ALARM, SEVERITIES, Reading

TIMEOUT = 2.0  # s for an answer of a PV that is connected
NOT_CONNECTED = "is not connected"


def instrument_pvs(block: str, iocs: list[str]) -> ByGenie | ByPyepics:
    """Those of the instrument that the script has chosen, else of `MYPVPREFIX`.

    Call it in the thread that begins to use libca; the others from the one that watches.
    """
    genie = sys.modules.get("genie_python.genie")
    return ByPyepics(block, iocs) if genie is None else ByGenie(genie, block)


class ByPyepics:
    """Over libca, with nothing but this project installed."""

    def __init__(self, block: str, iocs: list[str]) -> None:
        import epics  # not before it is needed: who has genie_python may not have it

        self._epics = epics
        self._lost = (  # what pyepics raises when a PV goes away this moment
            epics.ca.ChannelAccessException,
            epics.ca.ChannelAccessGetFailure,
            epics.ca.CASeverityException,
        )
        epics.ca.initialize_libca()  # whose context the thread that watches shares
        self.prefix = os.environ.get("MYPVPREFIX", "")
        # ISIS serves a block under its name as written and in capitals; others need not.
        self._blocks = [f"CS:SB:{name}" for name in dict.fromkeys([block, block.upper()])]
        self._names = [*self._blocks, *map(status_of, iocs), *map(restart_of, iocs)]
        self._pvs: dict[str, Any] = {}

    def connect(self) -> None:
        """Begin; whatever is there later will be found then."""
        self._epics.ca.use_initial_context()
        for name in self._names:
            self._pvs[name] = self._epics.PV(self.prefix + name, form="time", auto_monitor=False)
        end = time.monotonic() + TIMEOUT
        for pv in self._pvs.values():  # what is there answers soon: do not call it missing
            pv.wait_for_connection(timeout=max(0.01, end - time.monotonic()))

    def block(self) -> Reading:
        """The block as it is now."""
        readings = map(self._read, self._blocks)
        return next((each for each in readings if each.value is not None), Reading())

    def status(self, ioc: str) -> str | None:
        """STATUS of an IOC, as procServControl has it."""
        value = self._read(status_of(ioc)).value
        return None if value is None else str(value)

    def restart(self, ioc: str) -> str:
        """Put 1 to RESTART of an IOC; return why that cannot be, or an empty text."""
        pv = self._pvs[restart_of(ioc)]
        if not pv.connected:
            return NOT_CONNECTED
        if not pv.write_access:
            return "may not be written by this script: access security"
        try:
            return "" if pv.put(1) is not None else NOT_CONNECTED
        except self._lost as error:
            return f"refused the put: {error}"

    def _read(self, name: str) -> Reading:
        pv = self._pvs[name]
        if not pv.connected:
            return Reading()
        as_text = (pv.type or "").rpartition("_")[2] in ("string", "enum", "char")
        try:
            got = pv.get_with_metadata(as_string=as_text, use_monitor=False, timeout=TIMEOUT)
        except self._lost:
            return Reading()
        if got is None:  # it went away, or did not answer in time
            return Reading()
        return reading(got.get("value"), got.get("severity"))


class ByGenie:
    """As ISIS's scripts do, but not by `g.cget`, which prints a line each time while in alarm."""

    def __init__(self, genie: Any, block: str) -> None:
        self._genie = genie
        # It has none before `g.set_instrument`.
        self.prefix = genie.prefix_pv_name("") or os.environ.get("MYPVPREFIX", "")
        self._block = f"{self.prefix}CS:SB:{block.upper()}"

    def connect(self) -> None:
        """Begin; genie_python connects when it reads."""

    def block(self) -> Reading:
        """The block as it is now."""
        value = self._read(self._block)
        severity = None if value is None else self._read(f"{self._block}.SEVR")
        return reading(value, severity)

    def status(self, ioc: str) -> str | None:
        """STATUS of an IOC, as procServControl has it."""
        value = self._read(self.prefix + status_of(ioc))
        return None if value is None else str(value)

    def restart(self, ioc: str) -> str:
        """Put 1 to RESTART of an IOC; return why that cannot be, or an empty text."""
        name = self.prefix + restart_of(ioc)
        try:
            if not self._genie.adv.pv_exists(name):
                return NOT_CONNECTED
            self._genie.set_pv(name, 1)
        except Exception as error:  # noqa: BLE001 - genie_python names no exceptions of its own
            return f"refused the put: {error}"
        return ""

    def _read(self, name: str) -> Any:
        # Of what is not there `get_pv` would print a traceback.
        try:
            return self._genie.get_pv(name) if self._genie.adv.pv_exists(name) else None
        except Exception:  # noqa: BLE001 - as above; the PV went away between the two calls
            return None


def reading(value: Any, severity: Any) -> Reading:
    """Make a Reading of what a client library gives: an array is a list, a number a severity."""
    if hasattr(value, "tolist"):  # of numpy, whose `==` gives an array
        value = value.tolist()
    if isinstance(severity, int):
        severity = SEVERITIES[severity] if severity in range(len(SEVERITIES)) else "INVALID"
    return Reading(value, str(severity or NO_ALARM))


def status_of(ioc: str) -> str:
    """ProcServControl's PV, without the prefix."""
    return f"CS:PS:{ioc}:STATUS"


def restart_of(ioc: str) -> str:
    """ProcServControl's PV, without the prefix."""
    return f"CS:PS:{ioc}:RESTART"
