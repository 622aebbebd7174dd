"""CPU, memory, processes and threads of a script's whole tree, as psutil sees them.

Looks only when asked, and not more than once a second however often it is asked.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.posix import Process

if TYPE_CHECKING:  # imported when first asked: most IOCs start without anybody looking
    import psutil

EVERY = 1.0  # s


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree takes. The memory that its processes share is counted for each of them."""

    cpu: float = 0.0  # % of one core, since the last look
    memory: float = 0.0  # MB (10^6 bytes) resident
    processes: int = 0
    threads: int = 0


def resident(pid: int) -> float:
    """MB (10^6 bytes) that one process has in memory; 0 when there is none."""
    import psutil  # see TYPE_CHECKING above

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).memory_info().rss / 1e6
    return 0.0


class ProcessTable:
    """The process table, read once for all instances that ask within a second."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._table: dict[int, Process] = {}

    def read(self, since: float) -> dict[int, Process]:
        """The table, at most a second old, and not from before `since` (monotonic)."""
        now = time.monotonic()
        if self._read_at < max(since, now - EVERY):
            self._read_at, self._table = now, posix.processes()
        return self._table


class Meter:
    """Measures the tree of one run."""

    def __init__(self) -> None:
        self._looked_at = float("-inf")
        self._usage = Usage()
        self._seen: dict[int, tuple[psutil.Process, float]] = {}  # with its CPU seconds
        self._since = time.monotonic()

    def begin(self, pid: int) -> None:
        """Do not count what this process has spent up to now."""
        import psutil  # see TYPE_CHECKING above

        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            times = process.cpu_times()
            self._seen[pid] = (process, times.user + times.system)

    def measure(self, pids: Collection[int]) -> Usage:
        """Look at these processes, unless it was done a moment ago."""
        now = time.monotonic()
        if now - self._looked_at < EVERY:
            return self._usage
        self._looked_at = now
        import psutil  # see TYPE_CHECKING above

        spent = memory = 0.0
        threads = 0
        seen: dict[int, tuple[psutil.Process, float]] = {}
        for pid in pids:
            with contextlib.suppress(psutil.Error):  # gone, or another user's
                process, before = self._seen.get(pid) or (psutil.Process(pid), 0.0)
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                    threads += process.num_threads()
                seen[pid] = (process, times.user + times.system)
                spent += seen[pid][1] - before
        cpu = 100 * spent / max(now - self._since, 0.001)
        self._since, self._seen = now, seen
        self._usage = Usage(cpu, memory / 1e6, len(seen), threads)
        return self._usage
