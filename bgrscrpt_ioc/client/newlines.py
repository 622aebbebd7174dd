"""Finds the new lines in the PV LOG since the last look.

Pure. LOG is the newest part of the output. Its last line may be unfinished, like a progress bar,
and may differ the next time.
"""

from __future__ import annotations


class NewLines:
    """Takes the values of LOG one after the other, and returns the new lines of each.

    The last line of a value is held back until a line follows it, or until `rest` is called. `gap`
    says whether lines before the newest value were missed.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._told = True  # whether the last line was returned
        self.gap = False
        self.completed = 0  # lines that were followed by another one

    def feed(self, text: str) -> list[str]:
        """Take the next value; return the lines to print now."""
        new = text.split("\n") if text else []
        last = self._lines[-1:]
        at = self._overlap(new)
        self.gap = len(self._lines) > 1 and bool(new) and not at and new[:1] != last
        lines = new[at:]
        again = self._told and bool(last) and lines[:1] == last
        self._told = not lines or (again and len(lines) == 1)
        self._lines = new
        ready = lines[:-1]
        self.completed += len(ready)
        return ready[1:] if again else ready

    def _overlap(self, new: list[str]) -> int:
        """Return how many lines at the beginning of `new` are known and were complete.

        If equal lines fill the whole of LOG, new lines cannot be told from old ones.
        """
        firm = self._lines[:-1]
        for start in range(len(firm)):
            if new[: len(firm) - start] == firm[start:]:
                return len(firm) - start
        return 0

    def rest(self) -> list[str]:
        """Return the line that is held back, if there is one: no line has followed for a while."""
        lines = [] if self._told else self._lines[-1:]
        self._told = True
        return lines

    @property
    def held_back(self) -> bool:
        """Return whether a line is held back."""
        return not self._told

    def forget(self) -> None:
        """Start again: the IOC was restarted, and its LOG with it."""
        self.__init__()
