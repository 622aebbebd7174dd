"""Finds evidence that the kernel has just killed a process because memory ran out.

The kernel tells nobody why a process got SIGKILL. It only counts such kills, of a cgroup or of the
whole host. After some weeks a count that rose since the launch proves nothing. So the count must
have risen a moment ago, and each kill explains one death.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque

APART = 1.0  # s between two looks that are kept, at least: a big process takes a while to die
FRESH = 10.0  # s; after a longer time without a look it is unknown when the count rose
MOST = 1 << 16  # bytes of a file of counts: some 4,000 in fact


class OutOfMemory:
    """The kernel's count at the last two looks."""

    def __init__(self, apart: float = APART, fresh: float = FRESH) -> None:
        self._apart, self._fresh = apart, fresh
        self._looks: deque[tuple[float, int]] = deque(maxlen=2)

    def look(self) -> None:
        """Record the count. Call this every few seconds, and at each launch."""
        now = time.monotonic()
        if not self._looks or now - self._looks[-1][0] >= self._apart:
            self._looks.append((now, out_of_memory_kills()))

    def killed_one(self) -> bool:
        """Return whether the count has just risen by a kill that explains no other death."""
        if not self._looks or time.monotonic() - self._looks[0][0] > self._fresh:
            return False
        if out_of_memory_kills() <= self._looks[0][1]:
            return False
        self._looks = deque(((at, kills + 1) for at, kills in self._looks), maxlen=2)
        return True


def out_of_memory_kills() -> int:
    """Return how often the kernel has killed for memory: in our cgroup or, if none, on the host.

    An idle IOC does little else, so the files are read by the cheapest means.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        own = _read(b"/proc/self/cgroup").rpartition(b"::")[2].strip().lstrip(b"/")
        return _kills(_read(os.path.join(b"/sys/fs/cgroup", own, b"memory.events")))  # noqa: PTH118
    with contextlib.suppress(OSError, ValueError, IndexError):
        return _kills(_read(b"/proc/vmstat"))
    return 0


def _kills(counts: bytes) -> int:
    return int(counts.partition(b"oom_kill ")[2].split(maxsplit=1)[0])


def _read(path: bytes) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, MOST)
    finally:
        os.close(file)
