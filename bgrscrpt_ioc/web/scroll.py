"""Keeps what a script has printed since the page follows it, from the values of its PV LOG. Pure.

LOG holds the newest 16 kB. The page keeps more, so that people can scroll back and search.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from bgrscrpt_ioc.client.newlines import NewLines

LINES = 20_000
CHARACTERS = 1_000_000  # of one instance
CUT = 4000  # characters of a line


class Scroll:
    """The newest lines, numbered without gaps; bounded in lines and in characters.

    The last line may be unfinished, like a progress bar, and is replaced when it grows. `revision`
    changes when that happens.
    """

    def __init__(self) -> None:
        self._new = NewLines()
        self._lines: deque[str] = deque()
        self._characters = 0
        self._count: int | None = None
        self.first = 1  # number of the oldest line
        self.open = ""  # the unfinished last line

    @property
    def last(self) -> int:
        """Return the number of the newest whole line; `first - 1` if there is none."""
        return self.first + len(self._lines) - 1

    def take(self, log: str, count: int | None) -> None:
        """Take a value of LOG, and the LOG:COUNT that belongs to it."""
        if count is not None and self._count is not None and count < self._count:
            self._new.forget()
            self._add("--- the IOC was started again ---")
        self._count = count
        lines = self._new.feed(log)
        if self._new.gap:
            self._add("--- lines came faster than LOG can show them; the log file has them all ---")
        for line in lines:
            self._add(line)
        self.open = log.rpartition("\n")[2][:CUT]

    def _add(self, line: str) -> None:
        line = line[:CUT]
        self._lines.append(line)
        self._characters += len(line)
        while len(self._lines) > LINES or self._characters > CHARACTERS:
            self._characters -= len(self._lines.popleft())
            self.first += 1

    def after(self, number: int, most: int = LINES) -> tuple[int, list[str]]:
        """Return the number of the first line after line `number`, and the lines from there on.

        These are the newest `most` lines at most.
        """
        begin = max(number + 1, self.first, self.last + 1 - most)
        return begin, list(islice(self._lines, begin - self.first, None))
