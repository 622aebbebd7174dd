"""The monitors of one client: each sends what its channel reads, at the client's own pace.

A value that a slow client has not taken is replaced by the newest one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Protocol

from bgrscrpt_ioc.ca import reads, wire
from bgrscrpt_ioc.ca.channels import Channel, Reading
from bgrscrpt_ioc.ca.messages import ECA_NORMAL, EVENT_ADD
from bgrscrpt_ioc.records.live import LiveRecord


class Out(Protocol):
    """The client's connection."""

    def busy_for(self, size: int) -> bool:
        """Return whether the client must get nothing more, if that has `size` bytes, now."""
        ...

    def put(self, data: bytes) -> None:
        """Send messages."""
        ...

    def in_pieces(self, work: Iterator[int]) -> None:
        """Do long work for the client piece by piece; it is busy until then."""
        ...

    def guarded(self, call: Callable[[], object]) -> None:
        """Call something for the client. A fault of the IOC in it harms no other client."""
        ...


class Watched(Protocol):
    """The client's channel that a monitor watches."""

    channel: Channel

    @property
    def readable(self) -> bool:
        """Return whether the client may read it now."""
        ...


class Subscription:
    """One monitor."""

    __slots__ = ("_before", "_monitors", "count", "identity", "kind", "mask", "of", "size")

    def __init__(
        self, monitors: Monitors, of: Watched, kind: int, count: int, identity: int, mask: int
    ) -> None:
        self._monitors, self.of = monitors, of
        self.kind, self.count, self.identity = kind, count, identity
        self.mask = of.channel.events.watched(mask)  # the changes of the record that count
        # Bytes of a value, at most.
        self.size = wire.size_of(kind, count or of.channel.size)
        self._before = of.channel.value if of.channel.distinct else None

    def changed(self) -> None:
        """Send the new value to the client."""
        channel = self.of.channel
        if channel.distinct:
            before, self._before = self._before, channel.value
            if before == self._before:
                return
        self._monitors.tell(self)


class Monitors:
    """All monitors of one client."""

    def __init__(
        self, out: Out, host: str, watching: Counter[tuple[str, LiveRecord]], *, keep: bool = True
    ) -> None:
        """Prepare; there is no monitor yet.

        Args:
            out: the client's connection.
            host: the client's host.
            watching: how many monitors each host has of each record; kept up to date.
            keep: as for `reads.answer`.
        """
        self._out, self._host, self._watching, self._keep = out, host, watching, keep
        self._all: set[Subscription] = set()
        self._unread: set[Subscription] = set()  # monitors that have sent nothing yet
        # Monitors that must send, in the order of the changes.
        self._owed: dict[Subscription, None] = {}
        self._wanted = True

    def __len__(self) -> int:
        return len(self._all)

    def add(self, of: Watched, kind: int, count: int, identity: int, mask: int) -> Subscription:
        """Begin a monitor. Its first value is sent when the reading is current.

        Args:
            of: the client's channel.
            kind: the DBR type of what is sent.
            count: the number of elements, 0 for all.
            identity: the client's number of the monitor.
            mask: the events of Channel Access (DBE_VALUE, ...) that are sent.
        """
        subscription = Subscription(self, of, kind, count, identity, mask)
        self._all.add(subscription)
        self._watching[self._host, of.channel.live] += 1
        of.channel.watch(subscription)
        self._unread.add(subscription)
        of.channel.live.when_current(partial(self._begin, subscription))
        return subscription

    def _begin(self, subscription: Subscription) -> None:
        if subscription in self._unread:  # otherwise it has ended, or has sent a change meanwhile
            self.tell(subscription)

    def remove(self, subscription: Subscription) -> None:
        """End one monitor."""
        self._all.discard(subscription)
        self._unwatch(subscription)
        self._owed.pop(subscription, None)
        self._unread.discard(subscription)

    def clear(self) -> None:
        """End all monitors: the client has gone."""
        for each in self._all:
            self._unwatch(each)
        self._all.clear()
        self._owed.clear()
        self._unread.clear()

    def _unwatch(self, subscription: Subscription) -> None:
        channel = subscription.of.channel
        channel.unwatch(subscription)
        key = self._host, channel.live
        self._watching[key] -= 1
        if not self._watching[key]:
            del self._watching[key]

    def switch(self, on: bool) -> None:
        """Send changes from now on, or keep the newest of each monitor until later."""
        self._wanted = on
        self.catch_up()

    def tell(self, subscription: Subscription) -> None:
        """Send what the channel reads now. To a client that is behind, the newest is sent later."""
        self._unread.discard(subscription)
        if self._owed or not self._wanted or self._out.busy_for(subscription.size):
            self._owed[subscription] = None
        else:
            self._tell(subscription)

    def catch_up(self) -> None:
        """Send what has not been sent, while the client takes it."""
        while self._owed and self._wanted:
            subscription = next(iter(self._owed))
            if self._out.busy_for(subscription.size):
                return
            del self._owed[subscription]
            self._tell(subscription)

    def _tell(self, subscription: Subscription) -> None:
        self._out.guarded(partial(self._send, subscription))

    def _send(self, subscription: Subscription) -> None:
        of, kind, count = subscription.of, subscription.kind, subscription.count
        pieces = of.channel.reading_in_pieces(kind, count) if of.readable else None
        if pieces is not None:
            self._out.in_pieces(self._in_pieces(subscription, pieces))
            return
        made = reads.answer(of.channel, kind, count, readable=of.readable, keep=self._keep)
        self._out.put(reads.message(EVENT_ADD, subscription.identity, made))

    def _in_pieces(
        self, subscription: Subscription, pieces: Generator[int, None, Reading]
    ) -> Iterator[int]:
        made = reads.around(subscription.kind, ECA_NORMAL, (yield from pieces))
        if subscription in self._all:  # otherwise its channel has been ended meanwhile
            self._out.put(reads.message(EVENT_ADD, subscription.identity, made))
