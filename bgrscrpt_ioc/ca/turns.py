"""Turns for clients that ask for a lot: together they have one turn in a round of the event loop.

A client that asks for little needs no turn. It is answered at once, however much others ask for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

# The work in one round of the event loop is measured in bytes of answers.
TURN = 1 << 17  # about 2 ms
LATELY = 1.0  # s for which a client with a whole turn counts as one that asks for a lot


class Waiting(Protocol):
    """A client that waits."""

    def begin_turn(self) -> None:
        """Answer what waits, while the turn lasts."""
        ...


class Turns:
    """The clients that wait, in order.

    Attributes:
        spent: what was done for all of them in this round of the event loop.
    """

    def __init__(self) -> None:
        """Prepare; nobody waits."""
        self.spent = 0
        self._waiting: deque[Waiting] = deque()

    @property
    def over(self) -> bool:
        """Return whether nothing more may be done for them in this round."""
        return self.spent > TURN

    def wait(self, client: Waiting) -> None:
        """Give the client a turn after those who wait already."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._turn)
        self._waiting.append(client)

    def _turn(self) -> None:
        self.spent = 0
        waiting, self._waiting = self._waiting, deque()
        try:
            while waiting and not self.over:
                waiting.popleft().begin_turn()
        finally:
            # A client that has asked again is behind those that had no turn; it has called the next
            # turn.
            if waiting and not self._waiting:
                asyncio.get_running_loop().call_soon(self._turn)
            waiting += self._waiting
            self._waiting = waiting
