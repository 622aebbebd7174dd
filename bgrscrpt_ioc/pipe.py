"""The end of a pipe that the event loop reads, at a bounded pace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from bgrscrpt_ioc import posix

CHUNK = 1 << 18  # bytes a read takes at most
PACE = 0.005  # s between reads: a flood read at every wake-up costs seven times the CPU


class Pipe:
    """The reading end of a pipe, read from the event loop at a bounded pace."""

    def __init__(
        self, fd: int, read: Callable[[bytes], None], behind: Callable[[], bool] = bool
    ) -> None:
        """Give what comes to `read`, but not while the reader is `behind` with it."""
        self._fd, self._read, self._behind = fd, read, behind
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        if self._behind():
            self._loop.remove_reader(self._fd)
            self._pause = self._loop.call_later(PACE, self._resume)
            return
        data = self._take()
        if data is None:
            return
        self._loop.remove_reader(self._fd)
        if data:  # at EOF there is nothing more to wait for
            # A full chunk means that the writer may be waiting for room: read on at once.
            self._pause = self._loop.call_later(0 if len(data) == CHUNK else PACE, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._fd, self._ready)

    def _take(self, size: int = CHUNK) -> bytes | None:
        """Read once; None when there is nothing now, empty at EOF."""
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return None
        if data:
            self._read(data)
        return data

    def drain(self) -> None:
        """Read what is in the pipe now, and not what others add to it meanwhile."""
        left = posix.readable(self._fd)
        while left > 0:
            data = self._take(min(left, CHUNK))
            if not data:
                return
            left -= len(data)

    def close(self) -> None:
        """Stop reading, for good."""
        self._loop.remove_reader(self._fd)
        if self._pause is not None:
            self._pause.cancel()
        os.close(self._fd)
