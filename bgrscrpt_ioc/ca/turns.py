"""Turns for requests that are dear: in one round of the event loop, all clients share one turn.

A get whose answer is at hand needs no turn: it is answered at once, however much others ask for.
Clients that have asked for little lately and clients that have asked for a lot wait in a line each.
The lines have the first turn by turns, so that neither can shut out the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

# Work is measured in bytes of answers.
TURN = 1 << 15  # about 0.5 ms: what is done in one round for all who wait
MUCH = 1 << 17  # a client that has had so much done without a pause has asked for a lot
LATELY = 1.0  # s for which such a client counts as one that asks for a lot


class Spending:
    """What was done for one client lately."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._loop = asyncio.get_running_loop()
        self._spent = 0  # since nothing waited
        self._much_until = 0.0  # loop time, s

    def spend(self, cost: int) -> None:
        """Count what is done for the client."""
        self._spent += cost
        if self._spent > MUCH:
            self._much_until = self._loop.time() + LATELY

    def nothing_waits(self) -> None:
        """Begin anew: all is done that the client has asked for."""
        self._spent = 0

    @property
    def much(self) -> bool:
        """Return whether the client has had a lot done lately."""
        if self._much_until and self._much_until < self._loop.time():
            self._much_until = 0.0
        return bool(self._much_until)


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
        self._little: deque[Waiting] = deque()
        self._much: deque[Waiting] = deque()
        self._much_first = False
        self._called = False

    @property
    def over(self) -> bool:
        """Return whether nothing more may be done for them in this round."""
        return self.spent > TURN

    def wait(self, client: Waiting, *, much: bool) -> None:
        """Give the client a turn after those in its line, which is for those who ask for `much`."""
        (self._much if much else self._little).append(client)
        self._call()

    def _call(self) -> None:
        if not self._called:
            self._called = True
            # A timer comes after what has been read in the same round; `call_soon` before it.
            asyncio.get_running_loop().call_later(0, self._turn)

    def _turn(self) -> None:
        self._called = False
        self.spent = 0
        lines = [self._little, self._much]
        if self._much_first:
            lines.reverse()
        self._much_first = not self._much_first
        try:
            for line in lines:
                for _ in range(len(line)):  # who asks again waits for the next round
                    if self.over:
                        return
                    line.popleft().begin_turn()
        finally:
            if self._little or self._much:
                self._call()
