"""The monitors of one client: each is told what its channel reads, at the client's own pace.

What a slow client does not take is replaced by what is newer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import caproto as ca
from caproto import ChannelType

from bgrscrpt_ioc.ca.channels import Channel, Reading
from bgrscrpt_ioc.ca.link import Link

Read = Callable[[int, Channel, ChannelType, int], tuple[Reading, ca.CAStatus]]


class Subscription:
    """One monitor."""

    __slots__ = ("_monitors", "channel", "count", "identity", "kind", "mask", "sid")

    def __init__(self, monitors: Monitors, channel: Channel, request: Any) -> None:
        self._monitors, self.channel = monitors, channel
        self.kind, self.count = ChannelType(request.data_type), request.data_count
        self.identity, self.mask, self.sid = request.subscriptionid, request.mask, request.sid

    def changed(self) -> None:
        """Have the client told."""
        self._monitors.tell(self)


class Monitors:
    """All of one client."""

    def __init__(self, link: Link, read: Read) -> None:
        """Tell over `link` what `read(sid, channel, kind, count)` gives."""
        self._link, self._read = link, read
        self._subscriptions: dict[int, Subscription] = {}  # by what the client calls it
        self._owed: dict[Subscription, None] = {}  # in the order of the changes
        self._wanted = True

    def __len__(self) -> int:
        return len(self._subscriptions)

    def __contains__(self, identity: int) -> bool:
        return identity in self._subscriptions

    def add(self, channel: Channel, request: ca.EventAddRequest) -> None:
        """Begin what the client asks for."""
        subscription = Subscription(self, channel, request)
        self._subscriptions[subscription.identity] = subscription
        channel.subscribers += (subscription,)
        self.tell(subscription)

    def remove(self, identity: int) -> Subscription:
        """End the one that the client calls so."""
        subscription = self._subscriptions.pop(identity)
        channel = subscription.channel
        channel.subscribers = tuple(s for s in channel.subscribers if s is not subscription)
        self._owed.pop(subscription, None)
        return subscription

    def of(self, sid: int) -> list[Subscription]:
        """Those of a channel."""
        return [each for each in self._subscriptions.values() if each.sid == sid]

    def clear(self) -> None:
        """End all: the client has gone."""
        ours = set(self._subscriptions.values())
        for channel in {each.channel for each in ours}:
            channel.subscribers = tuple(each for each in channel.subscribers if each not in ours)
        self._subscriptions.clear()
        self._owed.clear()

    def switch(self, on: bool) -> None:
        """Tell from now on, or keep what there is to tell."""
        self._wanted = on
        self.catch_up()

    def tell(self, subscription: Subscription) -> None:
        """Send what the channel reads now; later, and then the newest, to one who is behind."""
        if self._owed or self._link.busy or not self._wanted:
            self._owed[subscription] = None
        else:
            self._tell(subscription)

    def catch_up(self) -> None:
        """Tell what is owed, for as long as the client takes it."""
        while self._owed and self._wanted and not self._link.busy:
            subscription = next(iter(self._owed))
            del self._owed[subscription]
            self._tell(subscription)

    def _tell(self, subscription: Subscription) -> None:
        kind = subscription.kind
        reading, status = self._read(
            subscription.sid, subscription.channel, kind, subscription.count
        )
        self._link.send(
            ca.EventAddResponse(
                reading.data,
                kind,
                reading.count,
                status,
                subscription.identity,
                metadata=reading.metadata,
            )
        )
