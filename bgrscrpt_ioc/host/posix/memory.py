"""Reads from /proc what processes use of memory and of the process table, at little cost.

It decides nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from bgrscrpt_ioc.host.contract import Process, Taken


def taken(processes: Iterable[Process]) -> dict[int, Taken]:
    """Return what each takes, as the process table told it: it is not read again."""
    return {each.pid: Taken(each.threads, each.memory, each.cpu) for each in processes}


def proportional(pids: Iterable[int]) -> int:
    """Return the bytes of memory, counting shared memory once.

    Slow: the kernel reads page tables.
    """
    found = (read(pid, "smaps_rollup").partition(b"\nPss:")[2].split() for pid in pids)
    return sum(1024 * int(words[0]) for words in found if words)


def read(pid: int, name: str) -> bytes:
    """Return a file of a process in /proc; empty if the process is gone or not ours."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""
