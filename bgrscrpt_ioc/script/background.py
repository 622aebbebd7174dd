"""Runs work that takes time while its caller goes on, and ends all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background:
    """Tasks of the event loop for which nobody waits."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()  # asyncio alone may lose a running task

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Start this work in the next turn of the event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Cancel all work that is not done."""
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        """Cancel all work that is not done, and return when it has ended."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
