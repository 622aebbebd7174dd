"""CPU, memory, processes and threads of a script's whole tree, as the host sees them.

It measures only when asked, and at most once a second.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.contract import Process, Taken

EVERY = 1.0  # s
SHORT = 0.1  # s between the two looks after a long pause
OLD = 3.0  # s: CPU since an older look says nothing about now


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree uses. Memory that its processes share is counted for each of them."""

    cpu: float = 0.0  # % of one core, of the last moments
    memory: float = 0.0  # MB (10^6 bytes) resident
    processes: int = 0
    threads: int = 0


class ProcessTable:
    """The process table, read once for all instances that ask within a second, in any thread."""

    def __init__(self) -> None:
        self._read: tuple[float, dict[int, Process]] = float("-inf"), {}

    def read(self, since: float) -> dict[int, Process]:
        """Return the table: at most a second old, and not older than `since` (monotonic)."""
        now = time.monotonic()
        read_at, table = self._read
        if read_at < max(since, now - EVERY):
            table = system.processes()
            self._read = now, table
        return table


class Meter:
    """Measures the tree of one run."""

    def __init__(self) -> None:
        self._looked_at = float("-inf")
        self._usage = Usage()
        self._anew = False  # the last look was the first of two
        self._seen: dict[int, float] = {}  # CPU seconds of each process
        self._since = time.monotonic()

    @property
    def is_old(self) -> bool:
        """Return whether nobody has looked for long: then CPU needs two looks, a moment apart."""
        return time.monotonic() - self._looked_at > OLD

    def measure(self, processes: Collection[Process]) -> Usage:
        """Look at these processes, unless it was done a moment ago.

        After a long pause the first look measures no CPU; the second one does.
        """
        now = time.monotonic()
        if now - self._looked_at < (SHORT if self._anew else EVERY):
            return self._usage
        self._anew, self._looked_at = self.is_old, now
        found = system.taken(processes)
        spent = sum(each.cpu - self._seen.get(pid, 0.0) for pid, each in found.items())
        cpu = 100 * max(0.0, spent) / max(now - self._since, 0.001)
        self._since, self._seen = now, {pid: each.cpu for pid, each in found.items()}
        memory, threads = total(found.values())
        self._usage = Usage(cpu, memory / 1e6, len(found), threads)
        return self._usage


def total(found: Iterable[Taken]) -> tuple[int, int]:
    """Return (bytes, threads) of them all; what is shared is counted for each."""
    memory = threads = 0
    for each in found:
        memory += each.memory
        threads += each.threads
    return memory, threads
