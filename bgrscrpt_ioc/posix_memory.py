"""What processes take of memory and of the process table, cheaply, as /proc tells it.

Linux only, as posix.py is; decides nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

PAGE = os.sysconf("SC_PAGESIZE")


def resident(pids: Iterable[int]) -> tuple[int, int]:
    """(bytes, tasks): resident memory, what is shared counted for each, and threads, of them all."""
    memory = tasks = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
            tasks += int(fields[17])
            memory += PAGE * int(fields[21])
    return memory, tasks


def proportional(pids: Iterable[int]) -> int:
    """Bytes of memory, what is shared counted once. Slow: it walks their page tables."""
    total = 0
    for pid in pids:
        with (
            contextlib.suppress(OSError, IndexError),
            open(f"/proc/{pid}/smaps_rollup", "rb") as file,
        ):  # noqa: PTH123
            total += 1024 * int(file.read().partition(b"\nPss:")[2].split()[0])
    return total
