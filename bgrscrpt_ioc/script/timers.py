"""Timeouts that count only the time in which the IOC runs.

While an IOC is stopped (SIGSTOP, a suspended host, a snapshot of a virtual machine) it hears
nothing. The messages of its scripts wait in their pipes, and the scripts may be stopped too. So a
timeout is counted in slices. A slice that ends late does not count, which also leaves a moment to
read the pipes. A pause that ends within its slice does count: it is short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bgrscrpt_ioc.lifecycle.events import Clock

SLICES = 8  # of a timeout
BEAT = 3.0  # s between two moments at which an idle IOC wakes up: all that can wait does it then
SHORTEST = 0.05  # s of a slice; the longest is a beat: an idle IOC should sleep
EARLY = 0.1  # s: a wake-up so soon before a beat is that beat
LATE = 0.25  # s: a loop that is later than this was not just busy
MOMENT = 0.25  # s at least after a pause, to read the pipes
PARDON = 2.0  # s at least that late slices may add: timeouts also end in an IOC that is always late


def next_beat(now: float) -> float:
    """Return the next beat after `now`. Both are times of the event loop."""
    return ((now + EARLY) // BEAT + 1) * BEAT


class Timer:
    """One timeout: calls when the IOC has run for so many seconds."""

    def __init__(self, delay: float, call: Callable[[], object]) -> None:
        """Start the timeout."""
        self._loop = asyncio.get_running_loop()
        self._call = call
        self._slice = min(BEAT, max(SHORTEST, delay / SLICES))
        self._after = delay  # s that follow the slice that runs
        self._pardon = max(delay, PARDON)
        self._next()

    @property
    def left(self) -> float:
        """Return the seconds until the call."""
        return self._after + max(0.0, self._due - self._loop.time())

    def cancel(self) -> None:
        """Do not call."""
        self._handle.cancel()

    def _next(self) -> None:
        now = self._loop.time()
        # Long slices end at a beat, so that the timers of all instances cause one wake-up.
        length = self._slice if self._slice < BEAT else next_beat(now) - now
        self._length = min(length, self._after)
        self._after -= self._length
        self._due = now + self._length
        self._handle = self._loop.call_at(self._due, self._elapsed)

    def _elapsed(self) -> None:
        if self._loop.time() - self._due > LATE:
            more = min(max(self._length, MOMENT), self._pardon)
            self._pardon -= more
            self._after += more
        if self._after > 0:
            self._next()
        else:
            self._call()


class Timers:
    """The timeouts of one instance, one for each clock."""

    def __init__(self) -> None:
        self._timers: dict[Clock, Timer] = {}

    def set(self, clock: Clock, delay: float, call: Callable[[], object]) -> None:
        """Start or restart the timeout of a clock."""
        self.cancel(clock)

        def elapsed() -> None:
            del self._timers[clock]
            call()

        self._timers[clock] = Timer(delay, elapsed)

    def cancel(self, clock: Clock) -> None:
        """Stop the timeout of a clock, if it runs."""
        timer = self._timers.pop(clock, None)
        if timer is not None:
            timer.cancel()

    def left(self, clock: Clock) -> float:
        """Return the seconds until the timeout of a clock; 0 if it does not run."""
        timer = self._timers.get(clock)
        return timer.left if timer is not None else 0.0
