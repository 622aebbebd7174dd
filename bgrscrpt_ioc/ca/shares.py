"""How many of all channels and monitors each client may have.

One gateway may have nearly all of them on one connection, and still there are always some left for
others: nobody may have more than `TIMES` as many as are free (dynamic thresholds, Choudhury and
Hahne 1998). A client that wants only a few always gets them: the host with the most gives way.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, Protocol, TypeVar

TIMES = 4  # a host that is alone may have 4/5 of all
FEW = 100  # a connection with no more belongs to an operator: room is made for it


class Holder(Protocol):
    """A connection."""

    @property
    def peer(self) -> str:
        """Return the client's address."""
        ...


H = TypeVar("H", bound=Holder)


class Shares(Generic[H]):
    """What all clients have of one kind of thing."""

    def __init__(self, most: int) -> None:
        """Prepare; there may be `most` in all."""
        self.most = most
        self.used = 0
        self._of_host: Counter[str] = Counter()
        self._of: Counter[H] = Counter()

    def free_for(self, host: str) -> bool:
        """Return whether a host may have one more."""
        return self._of_host[host] < TIMES * (self.most - self.used)

    def take(self, holder: H, number: int = 1) -> None:
        """The holder has so many more."""
        self.used += number
        self._of[holder] += number
        self._of_host[holder.peer] += number

    def give(self, holder: H, number: int = 1) -> None:
        """Note that the holder has so many fewer."""
        if not number:
            return
        self.used -= number
        self._of[holder] -= number
        self._of_host[holder.peer] -= number
        if not self._of[holder]:
            del self._of[holder]
        if not self._of_host[holder.peer]:
            del self._of_host[holder.peer]

    def in_the_way(self, of: H) -> H | None:
        """Return the connection to end so that a holder with few may have one more.

        None if there is none.

        It is the largest connection of the host with the most, if it is larger than those of
        people.
        """
        if self._of[of] >= FEW or not self._of_host:
            return None
        host = max(self._of_host, key=self._of_host.__getitem__)
        largest = max(
            (each for each in self._of if each.peer == host), key=self._of.__getitem__, default=None
        )
        return largest if largest is not None and self._of[largest] > FEW else None
