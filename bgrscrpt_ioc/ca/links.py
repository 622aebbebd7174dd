"""All connections of a server: how many there may be, and which one ends if there are more.

It knows addresses and ages, and no requests.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from bgrscrpt_ioc.access.complaints import Complaints
from bgrscrpt_ioc.ca.shares import Shares
from bgrscrpt_ioc.ca.turns import Turns
from bgrscrpt_ioc.records.live import LiveRecord

ANSWERS = 10  # searches a second that are answered for a host that may have no more channels


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection is kept whose client has vanished without a word, in seconds.

    (base asks the kernel too, but leaves the kernel's time of two hours.)
    """

    silence: float = 60  # until a silent client is asked whether it is still there
    asking: float = 10  # between two questions
    vanished: float = 120  # until a client that answers or takes nothing is given up


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What clients may have at most.

    Channels and monitors are shared between hosts: see shares.py.
    """

    connections: int = 1000
    connections_of_host: int = 600
    channels: int = 100_000
    subscriptions: int = 100_000
    subscriptions_of_record: int = 2000  # of a host: each change of the record is told to all
    long_puts: int = (
        1 << 26
    )  # bytes of arrays that are put and have not come whole; see longputs.py
    puts_of_circuit: int = 200  # that have not ended
    puts_of_channel: int = 200
    patience: Patience = Patience()


class Connection(Protocol):
    """What is known of a connection, and what can be done with it."""

    @property
    def peer(self) -> str:
        """Return the client's address."""
        ...

    @property
    def heard(self) -> float:
        """Return when the client last sent something, s."""
        ...

    @property
    def at_work(self) -> bool:
        """Return whether ending it would disturb the client: the client has channels."""
        ...

    @property
    def ending(self) -> bool:
        """Return whether it has been ended."""
        ...

    def refuse(self, why: object) -> None:
        """End it, and log the reason."""
        ...

    def take_no_more(self) -> None:
        """Take no requests from now on."""
        ...

    async def close(self) -> None:
        """End it normally."""
        ...


class Links:
    """The connections of one server."""

    def __init__(self, limits: ClientLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._clock = limits, clock
        self.complaints, self.turns = Complaints(), Turns()
        self.channels: Shares[Connection] = Shares(limits.channels)
        self.subscriptions: Shares[Connection] = Shares(limits.subscriptions)
        self.long_puts: Shares[Connection] = Shares(limits.long_puts)
        self.watching: Counter[tuple[str, LiveRecord]] = Counter()  # monitors, by host and record
        self._all: set[Connection] = set()
        self._of_host: Counter[str] = Counter()
        # Connections of one host that may be ended next, as they were at the last look: (silent
        # since, connection).
        self._silent: deque[tuple[float, Connection]] = deque()
        # Searches in this second, by hosts that may have no more channels.
        self._answered: Counter[str] = Counter()
        self._second = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter([*self._all])

    def add(self, link: Connection) -> None:
        """Add a connection. If there are too many, the least needed one ends."""
        limits = self.limits
        if self._of_host[link.peer] >= limits.connections_of_host:
            self.dismiss(f"one host may have {limits.connections_of_host}", link.peer)
        elif len(self._all) >= limits.connections:
            self.dismiss(f"there may be {limits.connections}")
        self._all.add(link)
        self._of_host[link.peer] += 1

    def discard(self, link: Connection) -> None:
        """Remove a connection that has ended."""
        if link in self._all:
            self._all.discard(link)
            self._of_host[link.peer] -= 1
            if not self._of_host[link.peer]:
                del self._of_host[link.peer]

    def dismiss(self, why: str, host: str | None = None) -> bool:
        """End the connection that is needed least; return False if there is none.

        So an operator always gets in, whoever has taken all places. The host with the most
        connections loses one: first one without channels, then the one that was silent longest. A
        client that was still at work connects again by itself.
        """
        if host is None and self._of_host:
            host = max(self._of_host, key=self._of_host.__getitem__)
        least = self._longest_silent(host)
        if least is None:
            return False
        self.discard(least)
        least.refuse(f"too many connections: {why}; the connection that was idle longest is closed")
        return True

    def _longest_silent(self, host: str | None) -> Connection | None:
        """Return the connection of the host that is needed least.

        All connections are looked at only now and then, so that a client that connects without end
        costs little. Until then the next ones are those that have not changed since.
        """
        while self._silent:
            heard, link = self._silent.popleft()
            if link.peer == host and link in self._all and link.heard == heard and _is_idle(link):
                return link
        there = [each for each in self._all if each.peer == host and not each.ending]
        idle = sorted((each for each in there if not each.at_work), key=lambda each: each.heard)
        if not idle:
            return min(there, key=lambda each: each.heard, default=None)
        self._silent.extend((each.heard, each) for each in idle[1:])
        return idle[0]

    def may_have(self, what: Shares[Connection], name: str, link: Connection) -> bool:
        """Return whether the client may have one more; the log says so if not."""
        if what.free_for(link.peer):
            return True
        largest = what.in_the_way(link)
        if largest is None or largest is link:
            self.complaints.say(
                link.peer,
                f"refused: this host has its share of the {what.most} {name} of all clients; end"
                " a program there that has many",
            )
            return False
        largest.refuse(f"too many {name}: the client that has most is disconnected")
        return True

    def answers(self, host: str, wanted: int) -> int:
        """Return how many of the names that a host searches for are answered.

        A client that is refused a channel searches again, at once and for ever. A client without an
        answer asks less and less often.
        """
        if self.channels.free_for(host):
            return wanted
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._answered.clear()
        allowed = max(0, min(wanted, ANSWERS - self._answered[host]))
        self._answered[host] += allowed
        return allowed


def _is_idle(link: Connection) -> bool:
    return not link.at_work and not link.ending
