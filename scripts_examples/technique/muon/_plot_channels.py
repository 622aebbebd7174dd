"""What PVs read now, for a plot: through genie_python's Channel Access or pyepics.

Monitors only: nothing here waits for a PV, so one that is missing holds up no other. A PV that
appears later, or comes back, is simply there again.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

INVALID = 3
DISCONNECTED = "disconnected"


def instrument_prefix() -> str:
    """The PV prefix of the instrument that the script has set in genie_python, else MYPVPREFIX."""
    genie = sys.modules.get("genie_python.genie")
    return (genie.prefix_pv_name("") if genie else "") or os.environ.get("MYPVPREFIX", "")


class Channel:
    """The newest of one PV: a float, or its text."""

    def __init__(self, name: str, *, as_text: bool = False) -> None:
        self.name, self.as_text = name, as_text
        self.kept: tuple[Any, ...] = ()  # references that libca's callbacks need
        self._lock = threading.Lock()
        self._connected, self._value, self._severity = False, None, 0
        self._is_text = False  # at the server
        self._fault: Exception | None = None

    def connected(self, is_up: bool, is_text: bool) -> None:
        """Told by Channel Access, from a thread of its own."""
        with self._lock:
            self._connected, self._is_text = is_up, is_text
            if not is_up:
                self._value = None

    def arrived(self, value: Any, severity: int) -> None:
        """Told by Channel Access, from a thread of its own."""
        with self._lock:
            self._connected, self._value, self._severity = True, value, severity

    def callback(self, function: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback: libca would drop its exception, and the channel would stand still."""

        def guarded(*arguments: Any, **keywords: Any) -> None:
            try:
                function(*arguments, **keywords)
            except Exception as error:  # noqa: BLE001 - raised by `read`
                self._fault = error

        return guarded

    def read(self) -> tuple[Any, str]:
        """Value and trouble: None and why there is none, or the value and an empty text.

        Raises:
            RuntimeError: a callback of this channel has failed.
        """
        if self._fault is not None:
            raise RuntimeError(f"{self.name}: a callback failed: {self._fault!r}") from self._fault
        with self._lock:
            if self._connected and self._value is None and self._is_text and not self.as_text:
                return None, "text, which cannot be plotted"
            if not self._connected or self._value is None:
                return None, DISCONNECTED
            if self._severity >= INVALID:
                return None, "in INVALID alarm"
            if self.as_text:
                return str(self._value), ""
            try:
                return float(self._value), ""
            except (TypeError, ValueError):
                return None, f"no number: {str(self._value)[:40]!r}"


def watch(channel: Channel) -> Channel:
    """Have the channel told from now on, by the client library that there is.

    Raises:
        ImportError: there is none.
    """
    (_watch_by_genie if _genie_is_wanted() else _watch_by_pyepics)(channel)
    return channel


def _genie_is_wanted() -> bool:
    """What the script uses itself; else pyepics, which does less when it is imported."""
    if "genie_python" in sys.modules:
        return True
    if importlib.util.find_spec("epics"):
        return False
    if importlib.util.find_spec("genie_python"):
        return True
    raise ImportError("a plot of PVs needs pyepics or genie_python: pip install pyepics")


def _watch_by_genie(channel: Channel) -> None:
    library = importlib.import_module("CaChannel")  # what genie_python itself uses
    ca = library.ca

    def on_connection(args: Any, _user: Any) -> None:
        is_up = args[1] == ca.CA_OP_CONN_UP
        channel.connected(is_up, is_up and pv.field_type() == ca.DBR_STRING)

    def on_value(args: Any, _user: Any) -> None:
        channel.arrived(args["pv_value"], int(args["pv_severity"]))

    kind = ca.DBR_STS_STRING if channel.as_text else ca.DBR_STS_DOUBLE
    pv = library.CaChannel(channel.name)
    pv.search_and_connect(None, channel.callback(on_connection))
    pv.add_masked_array_event(kind, 1, None, channel.callback(on_value))
    pv.flush_io()
    channel.kept = (pv,)


def _watch_by_pyepics(channel: Channel) -> None:
    from epics import ca, dbr

    def on_connection(chid: Any = None, conn: bool = False, **_: Any) -> None:
        channel.connected(conn, conn and ca.field_type(chid) == dbr.STRING)

    def on_value(value: Any = None, severity: int = 0, **_: Any) -> None:
        channel.arrived(value, severity)

    kind = dbr.TIME_STRING if channel.as_text else dbr.TIME_DOUBLE
    told = channel.callback(on_connection)
    chid = ca.create_channel(channel.name, connect=False, auto_cb=False, callback=told)
    event = ca.create_subscription(chid, ftype=kind, count=1, callback=channel.callback(on_value))
    channel.kept = (chid, event)
