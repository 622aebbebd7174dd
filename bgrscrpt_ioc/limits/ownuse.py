"""Measures what the IOC's own process uses, and what the host has, when somebody asks."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from bgrscrpt_ioc.host.system import descriptor_limit, look_up
from bgrscrpt_ioc.limits.usage import Meter, Usage

WINDOW = 0.2  # s over which CPU is measured if nobody has looked for a long time


@dataclass(frozen=True, slots=True)
class HostUse:
    """What all processes of the host use, and what the host has; memory in bytes."""

    cpu: float  # % of all processors, since the last look
    processors: int
    memory: int
    memory_free: int  # that programs could use


class OwnUse:
    """The use of this process. However many ask, it is measured once a second."""

    def __init__(self) -> None:
        self._meter, self._own = Meter(), os.getpid()
        self._measuring: asyncio.Task[Usage] | None = None

    def now(self) -> Usage:
        """Return what it uses. Its CPU is true if somebody looked in the last seconds."""
        own = look_up(self._own)
        return self._meter.measure([own] if own is not None else [])

    async def measured(self) -> Usage:
        """Return the use, with the CPU of the last moments."""
        if self._measuring is None or self._measuring.done():
            if not self._meter.is_old:
                return self.now()
            self._measuring = asyncio.get_running_loop().create_task(self._in_a_window())
        return await asyncio.shield(self._measuring)

    async def _in_a_window(self) -> Usage:
        self.now()
        await asyncio.sleep(WINDOW)
        return self.now()

    def descriptors(self) -> tuple[int, int]:
        """Return how many files and sockets are open, and how many may be."""
        import psutil  # as in `usage`

        process = psutil.Process(self._own)
        name = "num_fds" if hasattr(process, "num_fds") else "num_handles"  # Windows has handles
        return getattr(process, name)(), descriptor_limit()

    def host(self) -> HostUse:
        """Return what the host has and uses."""
        import psutil

        memory = psutil.virtual_memory()
        return HostUse(
            psutil.cpu_percent(), psutil.cpu_count() or 1, memory.total, memory.available
        )
