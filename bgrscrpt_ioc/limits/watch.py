"""Watches what a run uses while it has limits: warns near a limit, and kills the run above it.

limits.py says what is near and what is above. Without a limit nothing is watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.contract import Process
from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.limits.limits import Limits, near, over
from bgrscrpt_ioc.limits.usage import Meter, ProcessTable, total

EVERY = 0.25  # s: a script that takes 2 GB/s is half a GB above its limit when that is found


class WatchedTree(Protocol):
    """The run that is watched."""

    pid: int

    def tree(self, everyone: dict[int, Process] | None = None) -> dict[int, Process]:
        """Return its living processes."""
        ...

    def kill(self, reason: str) -> None:
        """Kill all of its processes."""


class Watch:
    """Watches one run until `stop`. `near` has the readings near their limit: {PV: text}."""

    def __init__(
        self,
        process: WatchedTree,
        limits: Limits,
        *,
        meter: Meter,
        processes: ProcessTable,
        worker: Worker,
        looked: Callable[[], None],
    ) -> None:
        """Start watching; `looked` is called after each look."""
        self.near: dict[str, str] = {}
        self._process, self._limits = process, limits
        self._meter, self._processes, self._worker = meter, processes, worker
        self._looked = looked
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._faults = Faults(f"the limits of process {process.pid}")
        self._stopped = not limits.watched
        self._again()

    def stop(self) -> None:
        """Stop watching: the run has ended."""
        self._stopped, self.near = True, {}
        if self._timer is not None:
            self._timer.cancel()
        self._looked()

    def _again(self) -> None:
        if not self._stopped:
            self._timer = self._loop.call_later(EVERY, self._look)

    def _look(self) -> None:
        since = self._loop.time() - EVERY / 2
        with self._faults:
            # Not in the event loop: it takes 3 ms where 150 processes are, with a bomb 40.
            self._worker.do(
                f"look at {self._process.pid}", lambda: self._read(since), self._has_read
            )
            return
        self._again()

    def _read(self, since: float) -> dict[int, Process] | None:
        with self._faults:
            return self._processes.read(since)
        return None

    def _has_read(self, everyone: dict[int, Process] | None) -> None:
        if self._stopped:
            return
        with self._faults:
            if everyone is None:
                self._again()
                return
            processes = self._process.tree(everyone).values()
            pids = tuple(each.pid for each in processes)
            memory, tasks = total(system.taken(processes).values())
            shared = len(pids) > 1 and "MEMORY" in near(self._limits, memory, 0, 0.0)
            if shared and not over(self._limits, 0, tasks):
                # Forked workers share most of their memory. Measuring that takes time, so the
                # worker does it.
                self._worker.do(
                    f"weigh {self._process.pid}",
                    lambda: self._weigh(pids),
                    lambda weight: self._weighed(processes, weight, tasks),
                )
                return
            self._judge(processes, memory, tasks)
        self._again()

    def _weigh(self, pids: tuple[int, ...]) -> float | None:
        with self._faults:
            return system.proportional(pids)
        return None

    def _weighed(self, processes: Collection[Process], weight: float | None, tasks: int) -> None:
        with self._faults:
            if weight is not None:
                self._judge(processes, weight, tasks)
        self._again()

    def _judge(self, processes: Collection[Process], memory: float, tasks: int) -> None:
        if self._stopped:
            return
        if reason := over(self._limits, memory, tasks):
            self._process.kill(reason)
        cpu = self._meter.measure(processes).cpu
        self.near = near(self._limits, memory, tasks, cpu)
        self._looked()
