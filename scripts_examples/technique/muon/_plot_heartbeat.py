"""What the plots of a script tell the IOC that runs the script: heartbeat and MESSAGE."""

from __future__ import annotations

import threading
import time
from typing import Any


class Pulse:
    """The script's heartbeat: beats while every one of its plots is updated.

    A plot that hangs or fails keeps the others from beating, so that STATUS tells of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._late: dict[Any, float] = {}  # when each plot is late

    def begins(self, plot: Any, interval: float) -> None:
        """Note that a plot begins an update; it is late after ten intervals, at least 10 s."""
        with self._lock:
            self._late.setdefault(plot, time.monotonic() + max(10.0, 10 * interval))

    def beats(self, plot: Any) -> None:
        """Note that a plot has been updated, and beat unless another plot is late."""
        now = time.monotonic()
        with self._lock:
            self._late.pop(plot, None)
            late = any(now > when for when in self._late.values())
        bgrscrpt = _ioc()
        if bgrscrpt is not None and not late:
            bgrscrpt.alive()

    def forget(self, plot: Any) -> None:
        """A plot that was stopped is never late."""
        with self._lock:
            self._late.pop(plot, None)


pulse = Pulse()


def _ioc() -> Any:
    """Find what speaks to the IOC that runs the script; None if the script is run without it."""
    try:
        import bgrscrpt
    except ImportError:
        return None
    return bgrscrpt


def tell_ioc(text: str) -> None:
    """Set MESSAGE of the IOC that runs the script."""
    bgrscrpt = _ioc()
    if bgrscrpt is not None:
        bgrscrpt.message(text)
