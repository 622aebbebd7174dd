"""What processes take of memory, as Windows counts it. It decides nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil

from bgrscrpt_ioc.host.contract import Process, Taken


def taken(processes: Iterable[Process]) -> dict[int, Taken]:
    """Return what each takes; of memory its working set."""
    found: dict[int, Taken] = {}
    for each in processes:
        with contextlib.suppress(psutil.Error):  # gone, or another user's
            process = psutil.Process(each.pid)
            times = process.cpu_times()
            found[each.pid] = Taken(
                process.num_threads(), process.memory_info().rss, times.user + times.system
            )
    return found


def proportional(pids: Iterable[int]) -> int:
    """Bytes of memory. Windows does not weigh what is shared, and nothing is forked there."""
    return sum(each.memory for each in taken(Process(pid, 0, 0, 0, False) for pid in pids).values())
