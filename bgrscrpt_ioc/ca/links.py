"""All connections of a server: how many there may be, who goes when there are more, who is blamed.

Knows addresses and ages, and no request.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

QUIET = 60.0  # s between two lines of the log about one offender
OFFENDERS = 1000  # that are told apart; datagrams may name any sender
LONGEST_LINE = 200  # characters of what is said of one

log = logging.getLogger("bgrscrpt_ioc.ca.links")


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may have at most: in all, each host of them, and each circuit."""

    connections: int = 1000
    connections_of_host: int = 600
    channels: int = 50_000
    channels_of_circuit: int = 5000
    subscriptions: int = 50_000
    subscriptions_of_circuit: int = 5000
    puts_of_circuit: int = 200  # that have not ended
    puts_of_channel: int = 50


class Connection(Protocol):
    """What there is to know about one, and to do with it."""

    @property
    def peer(self) -> str:
        """The client's address."""
        ...

    @property
    def heard(self) -> float:
        """When it last said something, s."""
        ...

    @property
    def at_work(self) -> bool:
        """Whether the client would be missed: it has channels."""
        ...

    @property
    def ending(self) -> bool:
        """Whether it has been ended."""
        ...

    def refuse(self, why: object) -> None:
        """End it, and say why."""
        ...

    def take_no_more(self) -> None:
        """Take no requests from now on."""
        ...

    async def close(self) -> None:
        """End it in peace."""
        ...


class Complaints:
    """What the log says of offenders: one line for each and minute, and how many it spared."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}  # by offender: when, and how often since

    def say(self, offender: str, what: object) -> None:
        """Say it, unless something was said of the offender a short while ago."""
        now = self._clock()
        if offender not in self._said and len(self._said) >= OFFENDERS:
            self._said = {o: said for o, said in self._said.items() if now - said[0] < QUIET}
            if len(self._said) >= OFFENDERS:
                offender = "others"
        since, spared = self._said.get(offender, (-QUIET, 0))
        if now - since < QUIET and offender in self._said:
            self._said[offender] = since, spared + 1
            return
        self._said[offender] = now, 0
        more = f" (and {spared} more before)" if spared else ""
        log.warning("%s: %s%s", offender, printable(what), more)


class Links:
    """The connections of one server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.complaints = Complaints()
        self.channels = self.subscriptions = 0  # of all of them
        self._all: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter([*self._all])

    def add(self, link: Connection) -> None:
        """Let one in; where there are too many, the one that is missed least goes."""
        limits = self.limits
        of_host = sum(each.peer == link.peer for each in self._all)
        if of_host >= limits.connections_of_host:
            self.dismiss(f"one host may have {limits.connections_of_host}", link.peer)
        elif len(self._all) >= limits.connections:
            self.dismiss(f"there may be {limits.connections}")
        self._all.add(link)

    def discard(self, link: Connection) -> None:
        """One has ended."""
        self._all.discard(link)

    def dismiss(self, why: str, host: str | None = None) -> bool:
        """End the connection that is missed least; False when there is none.

        An operator who comes is let in for it, whoever has taken all places: of the host that has
        most of them, first one without channels, then that which was silent longest. A client
        that was at work after all connects again by itself.
        """
        there = [each for each in self._all if not each.ending]
        if host is None and there:
            host = Counter(each.peer for each in there).most_common(1)[0][0]
        idle = [each for each in there if each.peer == host]
        if not idle:
            return False
        least = min(idle, key=lambda each: (each.at_work, each.heard))
        self._all.discard(least)
        least.refuse(f"too many connections: {why}; the one longest idle makes room")
        return True


def printable(what: object) -> str:
    """The text of an error or a sentence, fit for one line of a log whatever is in it."""
    text = f"{type(what).__name__}: {what}" if isinstance(what, Exception) else str(what)
    text = "".join(each if each.isprintable() else " " for each in text)
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 3]}..."
