"""How much of a pipe the event loop reads in one turn, and the pause after it. Pure.

So no process takes the event loop for long at a time, or more than half of it, whatever it writes.
"""

from __future__ import annotations

from collections.abc import Callable

DEAR = 0.0003  # s of work for one read: others wait that long
LEAST = 1 << 13  # bytes of a read: a smaller one costs no less


class Ration:
    """The reads of one pipe.

    A read that takes the reader long is followed by a pause as long, and by smaller reads. Others
    are not paused after: a timer of the event loop is a millisecond late, and a script that prints
    fast would wait for it.

    Attributes:
        size: bytes of the next read, at most.
    """

    def __init__(self, chunk: int, pace: float, clock: Callable[[], float]) -> None:
        """Prepare.

        Args:
            chunk: bytes of one read, at most.
            pace: seconds between two reads, if the first has not filled its chunk.
            clock: returns seconds of work of this thread. Time that passes would count what other
                processes do on a busy host.
        """
        self.size = self._chunk = chunk
        self._pace, self._clock = pace, clock
        self._began = 0.0

    def begin(self) -> None:
        """Begin a read."""
        self._began = self._clock()

    def end(self, size: int) -> float:
        """End a read of so many bytes, which the reader has taken; return seconds of the pause."""
        took = self._clock() - self._began
        # After a full chunk the writer may be waiting for room, so the next read comes soon.
        pause = 0.0 if size >= self.size else self._pace
        if took > DEAR:
            self.size = max(LEAST, self.size // 2)
            pause = max(pause, took)
        elif 2 * took < DEAR:
            self.size = min(self._chunk, 2 * self.size)
        return pause
