"""Pipes of the event loop: reads from one at a bounded pace, and writes to one without blocking."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import termios
import time
from array import array
from collections.abc import Callable

from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.ration import Ration

ROOM = 1 << 20  # bytes; the kernel's 64 KiB would make a fast printer wait for us
USUAL = 1 << 16  # bytes: the kernel's
LONGEST_QUEUE = 1 << 22  # bytes that wait to be written: a put of the longest array has 1.1 MB
CHUNK = 1 << 17  # bytes a read takes at most; with twice as many a get took twice as long beside it
PACE = 0.005  # s between reads: a flood read at every wake-up costs seven times the CPU


class Pipe:
    """The reading end of a pipe, read by the event loop at a bounded pace."""

    def __init__(
        self,
        fd: int,
        read: Callable[[bytes], None],
        behind: Callable[[], bool] = bool,
        *,
        chunk: int = CHUNK,
        pace: float = PACE,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """Pass what comes to `read`, except while the reader is `behind`.

        Args:
            fd: the descriptor of the reading end.
            read: takes what was read, up to `chunk` bytes.
            behind: returns whether bytes are to wait in the pipe.
            chunk: bytes of one read, at most.
            pace: seconds between two reads, if the first has not filled its chunk.
            clock: returns seconds of work of the event loop's thread.
        """
        self._fd, self._read, self._behind = fd, read, behind
        self._pace, self._ration = pace, Ration(chunk, pace, clock)
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._faults = Faults("what a process wrote")
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        behind = False
        with self._faults:  # otherwise the loop would call again at once, without end
            behind = self._behind()
        if behind:
            self._loop.remove_reader(self._fd)
            self._pause = self._loop.call_later(self._pace, self._resume)
            return
        self._ration.begin()
        data = self._take(self._ration.size)
        if data is None:
            return
        self._loop.remove_reader(self._fd)
        if data:  # at EOF there is nothing more to wait for
            self._pause = self._loop.call_later(self._ration.end(len(data)), self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._fd, self._ready)

    def _take(self, size: int) -> bytes | None:
        """Read once; return None if there is nothing now, and empty bytes at EOF."""
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return None
        if data:
            # Otherwise nothing more is read, and nobody hears of the end of the run.
            with self._faults:
                self._read(data)
        return data

    def drain(self) -> None:
        """Read what is in the pipe now, but not what others add meanwhile."""
        left = readable(self._fd)
        while left > 0:
            data = self._take(min(left, CHUNK))
            if not data:
                return
            left -= len(data)

    def close(self) -> None:
        """Stop reading for good."""
        self._loop.remove_reader(self._fd)
        if self._pause is not None:
            self._pause.cancel()
        os.close(self._fd)


class Inlet:
    """The writing end of a pipe: bytes that find no room wait, up to a bound."""

    def __init__(self, fd: int) -> None:
        """Write to the descriptor `fd`, which does not block."""
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()

    def write(self, data: bytes) -> bool:
        """Write all bytes now or soon; write none and return False if too many wait already."""
        if self._fd < 0 or (self._waiting and len(self._waiting) + len(data) > LONGEST_QUEUE):
            return False
        if not self._waiting:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                pass
            except OSError:  # the reader has gone
                return False
            if data:
                self._loop.add_writer(self._fd, self._go_on)
        self._waiting += data
        return True

    def _go_on(self) -> None:
        try:
            del self._waiting[: os.write(self._fd, self._waiting)]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()
        if not self._waiting:
            self._loop.remove_writer(self._fd)

    def close(self) -> None:
        """Stop writing for good."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1


def enlarge_pipe(fd: int) -> None:
    """Give a pipe more room, if the system allows it."""
    with contextlib.suppress(OSError):  # EPERM above /proc/sys/fs/pipe-user-pages-soft
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, ROOM)


def shrink_pipe(fd: int) -> None:
    """Give a pipe the usual room, if its content fits."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, USUAL)


def readable(fd: int) -> int:
    """Return how many bytes a pipe holds now."""
    size = array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, size)
    return size[0]
