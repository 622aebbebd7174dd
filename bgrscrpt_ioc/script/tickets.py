"""Numbers the commands of an instance, and lets each wait until the lifecycle completes it."""

from __future__ import annotations

import asyncio
from itertools import count


class Tickets:
    """The commands of one instance that are not complete."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}

    def new(self) -> int:
        """Return the number of a new command."""
        return next(self._numbers)

    def wait(self, ticket: int) -> asyncio.Future[str]:
        """Return what `complete` will say of a command: why it failed, or nothing."""
        future = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        return future

    def complete(self, ticket: int, failure: str) -> None:
        """Complete a command, whether or not anybody waits for it."""
        future = self._waiting.pop(ticket, None)
        if future is not None and not future.done():  # done: the client has gone
            future.set_result(failure)
