"""A thread that writes to what may stall: a disk, a terminal, a pipe.

Callers never wait. It does not know what is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from bgrscrpt_ioc.host.faults import Faults

LIMIT = 16 << 20  # bytes
SMALL = 4096  # bytes
OVERHEAD = 512  # bytes of memory that a job needs besides its data
PACE = 0.005  # s between wake-ups of the thread, each of which costs the event loop about 20 us
STALLED = 1.0  # s for one job, after which nobody should wait for it
HANGS = 5.0  # s for one job, after which somebody should be told


class Writer:
    """Does jobs in the order in which they came, in one daemon thread.

    At most `limit` bytes wait. One eighth of that is kept for small jobs, so that a script with
    much output does not cost another script its few lines.
    """

    def __init__(self, name: str, limit: int = LIMIT, stalled: float = STALLED) -> None:
        self._limit, self._stalled = limit, stalled
        self._lock = threading.Lock()
        self._waiting = 0  # bytes, including the job in progress
        self._began_at = 0.0  # monotonic time, of the job in progress
        self._closing = threading.Event()
        self._faults = Faults(name)
        self._jobs: SimpleQueue[tuple[int, Callable[[], None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, size: int, job: Callable[[], None]) -> bool:
        """Do `job`, which holds `size` bytes and never raises.

        Return False if there is no room for it.
        """
        room = self._limit if size <= SMALL else self._limit * 7 // 8
        size += OVERHEAD
        with self._lock:
            if self._closing.is_set() or self._waiting + size > room:
                return False
            if not self._waiting:
                self._began_at = time.monotonic()
            self._waiting += size
            self._jobs.put((size, job))
        return True

    @property
    def behind(self) -> bool:
        """Return whether much waits and will soon be done: waiting is then better than losing it.

        A script can print faster than any disk writes. If its output is left unread for a moment,
        the script waits just as it would for a disk of its own. But no script waits for a disk that
        stalls.
        """
        late = self._waiting > self._limit // 4
        return late and time.monotonic() - self._began_at < self._stalled

    @property
    def hangs(self) -> bool:
        """Return whether a job takes so long that somebody should look at the disk."""
        return self._waiting > 0 and time.monotonic() - self._began_at > HANGS

    def close(self, timeout: float) -> bool:
        """Take no more work; return whether all of it is done within `timeout` seconds."""
        with self._lock:
            self._closing.set()
            self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            size, job = item
            self._began_at = time.monotonic()
            with self._faults:  # the next job is done in any case
                job()
            with self._lock:
                self._waiting -= size
            if self._jobs.empty():
                self._closing.wait(PACE)  # what comes meanwhile needs no wake-up
