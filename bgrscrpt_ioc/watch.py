"""Looks at what a run takes while it has limits: warns before one, kills the run above it.

What the limits are and what counts as near is limits.py's; nothing runs without a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bgrscrpt_ioc import posix_memory
from bgrscrpt_ioc.limits import Limits, near, over
from bgrscrpt_ioc.process import ScriptProcess
from bgrscrpt_ioc.usage import Meter, ProcessTable
from bgrscrpt_ioc.worker import Worker

EVERY = 0.25  # s: a hog of 2 GB/s is half a GB above its limit when it is found


class Watch:
    """Of one run, until `stop`. `near` has what is near its limit: {PV: text}."""

    def __init__(
        self,
        process: ScriptProcess,
        limits: Limits,
        *,
        meter: Meter,
        processes: ProcessTable,
        worker: Worker,
        looked: Callable[[], None],
    ) -> None:
        """Begin; `looked` is called after each look."""
        self.near: dict[str, str] = {}
        self._process, self._limits = process, limits
        self._meter, self._processes, self._worker = meter, processes, worker
        self._looked = looked
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = not limits.watched
        self._again()

    def stop(self) -> None:
        """The run is over."""
        self._stopped, self.near = True, {}
        if self._timer is not None:
            self._timer.cancel()
        self._looked()

    def _again(self) -> None:
        if not self._stopped:
            self._timer = self._loop.call_later(EVERY, self._look)

    def _look(self) -> None:
        pids = tuple(self._process.tree(self._processes.read(self._loop.time() - EVERY / 2)))
        memory, tasks = posix_memory.resident(pids)
        shared = len(pids) > 1 and "MEMORY" in near(self._limits, memory, 0, 0.0)
        if not shared or over(self._limits, 0, tasks):
            self._judge(pids, memory, tasks)
            return
        # Forked workers share most of their memory: weigh it, where it can hold up nobody.
        self._worker.do(
            f"weigh {self._process.pid}",
            lambda: posix_memory.proportional(pids),
            lambda weight: self._judge(pids, weight, tasks),
        )

    def _judge(self, pids: tuple[int, ...], memory: float, tasks: int) -> None:
        if self._stopped:
            return
        if reason := over(self._limits, memory, tasks):
            self._process.kill(reason)
        cpu = self._meter.measure(pids).cpu
        self.near = near(self._limits, memory, tasks, cpu)
        self._looked()
        self._again()
