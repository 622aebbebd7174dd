"""A thread for writing what may take long or stall: a disk, a terminal, a pipe.

Whoever hands it work never waits. It knows nothing of what is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

LIMIT = 16 << 20  # bytes
SMALL = 4096  # bytes
OVERHEAD = 512  # bytes of memory that a job takes besides its data
STALLED = 1.0  # s that one job may take until nobody should wait for it
HANGS = 5.0  # s that one job may take until somebody should be told


class Writer:
    """Does jobs in the order in which they came, in one daemon thread.

    At most `limit` bytes wait. An eighth of that is left to small jobs, so that a script which
    floods does not cost another one its few lines.
    """

    def __init__(self, name: str, limit: int = LIMIT, stalled: float = STALLED) -> None:
        self._limit, self._stalled = limit, stalled
        self._lock = threading.Lock()
        self._waiting = 0  # bytes, of the job being done too
        self._began_at = 0.0  # monotonic time, of the job being done
        self._closed = False
        self._jobs: SimpleQueue[tuple[int, Callable[[], None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, size: int, job: Callable[[], None]) -> bool:
        """Have `job` done, which holds `size` bytes and never raises; False: no room for it."""
        room = self._limit if size <= SMALL else self._limit * 7 // 8
        size += OVERHEAD
        with self._lock:
            if self._closed or self._waiting + size > room:
                return False
            if not self._waiting:
                self._began_at = time.monotonic()
            self._waiting += size
            self._jobs.put((size, job))
        return True

    @property
    def behind(self) -> bool:
        """Whether much waits that will soon be done: then it is better to wait than to lose.

        A script can print faster than any disk writes. Left unread for a moment, it is held up just
        as by a disk of its own. But it is not held up by a disk that is stalled.
        """
        late = self._waiting > self._limit // 4
        return late and time.monotonic() - self._began_at < self._stalled

    @property
    def hangs(self) -> bool:
        """Whether a job takes so long that somebody should look after the disk."""
        return self._waiting > 0 and time.monotonic() - self._began_at > HANGS

    def close(self, timeout: float) -> bool:
        """Take no more work; True if all of it is done within `timeout` seconds."""
        with self._lock:
            self._closed = True
            self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            size, job = item
            self._began_at = time.monotonic()
            job()
            with self._lock:
                self._waiting -= size
