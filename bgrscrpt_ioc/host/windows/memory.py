"""Reads how much memory processes use, as Windows counts it. Decides nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil

from bgrscrpt_ioc.host.contract import Process, Taken


def taken(processes: Iterable[Process]) -> dict[int, Taken]:
    """Return the usage of each process; its memory is the working set."""
    found: dict[int, Taken] = {}
    for each in processes:
        with contextlib.suppress(psutil.Error):  # the process has ended, or belongs to another user
            process = psutil.Process(each.pid)
            times = process.cpu_times()
            found[each.pid] = Taken(
                process.num_threads(), process.memory_info().rss, times.user + times.system
            )
    return found


def proportional(pids: Iterable[int]) -> int:
    """Return bytes of memory. Shared memory counts in full: Windows does not divide it."""
    return sum(each.memory for each in taken(Process(pid, 0, 0, 0, False) for pid in pids).values())
