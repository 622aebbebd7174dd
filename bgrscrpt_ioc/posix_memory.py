"""What processes take of memory and of the process table, cheaply, as /proc tells it.

Linux only, as posix.py is; decides nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

PAGE = os.sysconf("SC_PAGESIZE")


def resident(pids: Iterable[int]) -> tuple[int, int]:
    """(bytes, tasks) of them all: resident memory, what is shared counted for each, and threads."""
    memory = tasks = 0
    for pid in pids:
        fields = read(pid, "stat").rpartition(b")")[2].split()
        if fields:
            tasks += int(fields[17])
            memory += PAGE * int(fields[21])
    return memory, tasks


def proportional(pids: Iterable[int]) -> int:
    """Bytes of memory, what is shared counted once. Slow: it walks their page tables."""
    found = (read(pid, "smaps_rollup").partition(b"\nPss:")[2].split() for pid in pids)
    return sum(1024 * int(words[0]) for words in found if words)


def read(pid: int, name: str) -> bytes:
    """A file of a process; empty when that is gone, or not ours."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""
