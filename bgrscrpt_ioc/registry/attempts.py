"""Decides when the database is tried next: later after each failure. Keeps what is wrong with it.

Pure: the time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from bgrscrpt_ioc.registry.times import Times


class Attempts:
    """The attempts at one database."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._delay = 0.0  # s between two tries; 0 while the database answers
        self._next = 0.0
        self._said: set[str] = set()
        self.trouble = ""  # and the time of the next try; empty while the database answers

    def left(self, now: float) -> float:
        """Return the seconds until the next try."""
        return self._next - now

    def settle(self, now: float) -> None:
        """Wait until the IOC has started."""
        self._next = now + self._times.settle

    def hurry(self) -> None:
        """Try at once, unless the database is away: new work does not make it answer."""
        if not self._delay:
            self._next = 0.0

    def failed(self, problem: str, now: float) -> None:
        """Note that the database cannot be used. The next pause is longer than the last one."""
        self._delay = min(2 * self._delay or self._times.backoff, self._times.backoff_max)
        self._next = now + self._delay
        self.trouble = f"{problem}; trying again in {self._delay:g} s"

    def succeeded(self) -> bool:
        """Note that the database answers; return whether it was away before."""
        was_away = bool(self._delay)
        self._delay, self._next, self.trouble = 0.0, 0.0, ""
        if was_away:
            self._said.clear()
        return was_away

    def is_news(self, line: str) -> bool:
        """Return whether the log lacks this line.

        From now on it has the line, until the next success.
        """
        news = line not in self._said
        self._said.add(line)
        return news
