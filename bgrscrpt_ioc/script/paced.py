"""Bounds how often something is done that a script may cause without end: the newest counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# Seconds by which the clock, and a timer of the event loop with it, may be early: 16 ms on Windows.
EARLY = time.get_clock_info("monotonic").resolution


class Paced:
    """Does what is asked for at most once every `every` seconds.

    The first is done at once. What is asked for too soon waits, and the newest replaces it. The
    last is always done. Use it in the event loop's thread.
    """

    def __init__(self, every: float) -> None:
        self._every = every + EARLY
        self._act: Callable[[], object] | None = None
        self._free_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, act: Callable[[], object]) -> None:
        """Do this now or later, unless something newer is asked for meanwhile."""
        now = time.monotonic()
        if self._timer is not None:
            self._act = act
        elif now >= self._free_at:
            self._free_at = now + self._every
            act()
        else:
            self._act = act
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._free_at - now, self.flush)

    def forget(self) -> None:
        """Do not do what waits."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._act = None

    def flush(self) -> None:
        """Do what waits at once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        act, self._act = self._act, None
        if act is not None:
            self._free_at = time.monotonic() + self._every
            act()


class Sparing:
    """Writes a warning that may come often: the first at once, then one every `every` seconds."""

    def __init__(self, say: Callable[[str], object], every: float = 60.0) -> None:
        """Pass what is to be written to `say`."""
        self._say, self._every = say, every
        self._free_at = float("-inf")
        self._spared = 0

    def say(self, text: str) -> None:
        """Write a text with the number of texts left out since the last; or leave it out."""
        now = time.monotonic()
        if now < self._free_at:
            self._spared += 1
            return
        more = f" ({self._spared} more like this before)" if self._spared else ""
        self._spared, self._free_at = 0, now + self._every
        self._say(text + more)

    def end(self) -> None:
        """Write how many texts were left out."""
        if self._spared:
            self._say(f"{self._spared} more warnings of this kind were left out")
            self._spared = 0


class Few:
    """Writes each of a few texts once, and then only how many more there were."""

    def __init__(self, say: Callable[[str], object], most: int = 50) -> None:
        """Pass at most `most` texts to `say`."""
        self._say, self._most = say, most
        self._said: set[str] = set()
        self._left_out = 0

    def say(self, text: str) -> None:
        """Write a text, if it is new and there is room."""
        if text in self._said:
            return
        if len(self._said) < self._most:
            self._said.add(text)
            self._say(text)
        else:
            self._left_out += 1

    def end(self) -> None:
        """Write how many texts were left out."""
        if self._left_out:
            self._say(f"{self._left_out} more lines of this kind were left out")
            self._left_out = 0
