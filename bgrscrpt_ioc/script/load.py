"""Publishes what the run of an instance uses: CPU, MEMORY, PROCS, THREADS, and its limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.limits.limits import Limits
from bgrscrpt_ioc.limits.usage import Meter, ProcessTable, Usage
from bgrscrpt_ioc.limits.watch import Watch
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.process.process import ScriptProcess

READINGS = ("CPU", "MEMORY", "PROCS", "THREADS")
WINDOW = 0.2  # s over which CPU is measured if nobody has looked for a long time


class Load:
    """The readings of one instance, run after run."""

    def __init__(
        self,
        limits: Limits,
        processes: ProcessTable,
        worker: Worker,
        output: Output,
        publish: Publish,
    ) -> None:
        """Prepare; nothing runs yet."""
        self._limits, self._processes, self._worker = limits, processes, worker
        self._output, self._publish = output, publish
        self._process: ScriptProcess | None = None
        self._meter = Meter()
        self._since = 0.0  # when the run was launched, monotonic
        self._watch: Watch | None = None
        self._near: dict[str, str] = {}  # the readings near their limits
        self._measuring: asyncio.Task[None] | None = None

    def take(self, limits: Limits) -> None:
        """Hold later runs to these limits."""
        self._limits = limits

    def begin(self, process: ScriptProcess, near: Callable[[Sequence[str]], None]) -> None:
        """Begin a run.

        `near` is called with the readings near their limits, whenever these change.
        """
        self._process, self._meter = process, Meter()
        self._since = time.monotonic()

        def looked() -> None:
            self._compare(watch.near, near)

        watch = self._watch = Watch(
            process,
            self._limits,
            meter=self._meter,
            processes=self._processes,
            worker=self._worker,
            looked=looked,
        )

    def ended(self) -> None:
        """End a run: its limits are not watched any more."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def show(self) -> None:
        """Publish the readings; CPU follows a moment later if nobody has looked for a long time."""
        if self._meter.is_old and self._process is not None:
            self._show(self._use(), but="CPU")
            self._measuring = asyncio.get_running_loop().create_task(self._show_soon())
        else:
            self._show(self._use(), but="CPU" if self._measures else "")

    def show_cpu(self) -> asyncio.Task[None] | None:
        """Publish CPU as it is now; what is returned is done when CPU is published.

        CPU is measured since the last look, or over a short window that begins now.
        """
        self.show()
        return self._measuring if self._measures else None

    @property
    def _measures(self) -> bool:
        return self._measuring is not None and not self._measuring.done()

    async def _show_soon(self) -> None:
        await asyncio.sleep(WINDOW)
        self._show(self._use())

    def _use(self) -> Usage:
        if self._process is None:
            return Usage()
        return self._meter.measure(self._process.tree(self._processes.read(self._since)).values())

    def _show(self, use: Usage, but: str = "") -> None:
        values = (use.cpu, use.memory, use.processes, use.threads)
        for name, value in zip(READINGS, values, strict=True):
            if name != but:
                self._publish(name, value, Severity(name in self._near))

    def _compare(self, found: dict[str, str], near: Callable[[Sequence[str]], None]) -> None:
        before, self._near = self._near, found
        if found.keys() != before.keys():
            for name in found.keys() - before.keys():
                self._output.warn(found[name])
            near(tuple(found.values()))
        if found or before:
            self.show()
