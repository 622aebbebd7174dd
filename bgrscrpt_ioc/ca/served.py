"""The channels of one client: their numbers, and what the client may do with each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from bgrscrpt_ioc.access.rights import Access, Asker, Rights
from bgrscrpt_ioc.ca.channels import Channel
from bgrscrpt_ioc.ca.messages import BrokenProtocolError
from bgrscrpt_ioc.ca.monitors import Subscription

SIDS = 1 << 32  # numbers of channels


class Served:
    """One channel of one client.

    Attributes:
        channel: the channel of the server.
        sid: our number for it.
        cid: the client's number for it; a client may give several channels one number.
        rights: what the client may do.
    """

    __slots__ = ("_monitors", "channel", "cid", "rights", "sid")

    def __init__(self, channel: Channel, sid: int, cid: int, rights: Rights) -> None:
        self.channel, self.sid, self.cid, self.rights = channel, sid, cid, rights
        # By the client's number; a client may give several monitors one number. Most channels have
        # none.
        self._monitors: dict[int, deque[Subscription]] | None = None

    @property
    def monitors(self) -> list[Subscription]:
        """Return the client's monitors of this channel."""
        return [each for called in (self._monitors or {}).values() for each in called]

    def add(self, subscription: Subscription) -> None:
        """Add a monitor of this channel."""
        if self._monitors is None:
            self._monitors = {}
        self._monitors.setdefault(subscription.identity, deque()).append(subscription)

    def take(self, identity: int) -> Subscription:
        """Remove and return the oldest monitor with this number of the client.

        Raises:
            BrokenProtocolError: there is no such monitor.
        """
        called = self._monitors.get(identity) if self._monitors else None
        if not called:
            raise BrokenProtocolError(f"no monitor {identity} of {self.channel.name}")
        subscription = called.popleft()
        if not called and self._monitors:
            del self._monitors[identity]
        return subscription

    def forget(self) -> None:
        """Forget the monitors, so that they and the channel do not hold each other."""
        self._monitors = None

    @property
    def readable(self) -> bool:
        """Return whether the client may read it."""
        return Rights.READ in self.rights

    @property
    def writable(self) -> bool:
        """Return whether the client may write it."""
        return Rights.WRITE in self.rights


class ServedChannels:
    """All channels of one client.

    Attributes:
        readable: the channels that the client may read, by sid.
        gone: sids of channels that the server has ended.
    """

    def __init__(self, access: Access, asker: Asker) -> None:
        """Prepare; there is no channel yet. `access` decides what `asker` may do."""
        self._access = access
        self._by_sid: dict[int, Served] = {}
        self.readable: dict[int, Channel] = {}
        self.gone: set[int] = set()
        self._next = 0
        self.become(asker)

    def __len__(self) -> int:
        return len(self._by_sid)

    def __iter__(self) -> Iterator[Served]:
        return iter(self._by_sid.values())

    def __contains__(self, served: Served) -> bool:
        return self._by_sid.get(served.sid) is served

    def become(self, asker: Asker) -> None:
        """Note who the client is. It has no channels yet."""
        self.asker = asker
        self._rights = self._granted()

    def _granted(self) -> dict[bool, Rights]:
        """Return what the client may do with channels that can be written, and with others."""
        return {each: self._access.rights(self.asker, writable=each) for each in (False, True)}

    def open(self, channel: Channel, cid: int) -> Served:
        """Give the client one more channel."""
        while (
            self._next in self._by_sid or self._next in self.gone
        ):  # all numbers have been used once
            self._next = (self._next + 1) % SIDS
        sid, self._next = self._next, (self._next + 1) % SIDS
        served = self._by_sid[sid] = Served(channel, sid, cid, self._rights[channel.writable])
        if served.readable:
            self.readable[sid] = channel
        return served

    def of(self, sid: int) -> Served:
        """Return the channel with this sid.

        Raises:
            BrokenProtocolError: the client has no such channel.
        """
        served = self._by_sid.get(sid)
        if served is None:
            raise BrokenProtocolError(f"no channel {sid}")
        return served

    def find(self, sid: int) -> Served | None:
        """Return the channel that we call so; None if the client has none."""
        return self._by_sid.get(sid)

    def close(self, served: Served) -> None:
        """Take a channel from the client."""
        served.forget()
        del self._by_sid[served.sid]
        self.readable.pop(served.sid, None)

    def end(self, served: Served) -> None:
        """Take a channel from a client that does not know it yet."""
        self.close(served)
        self.gone.add(served.sid)

    def clear(self) -> None:
        """Take all channels: the client has gone."""
        for served in self:
            served.forget()
        self._by_sid.clear()
        self.readable.clear()

    def changed(self) -> Iterator[tuple[Served, Rights]]:
        """Apply the rights of now.

        Yield each channel whose rights have changed, with its old rights.
        """
        before, self._rights = self._rights, self._granted()
        if before == self._rights:
            return
        for served in [*self]:
            rights = self._rights[served.channel.writable]
            if rights != served.rights:
                was, served.rights = served.rights, rights
                if served.readable:
                    self.readable[served.sid] = served.channel
                else:
                    self.readable.pop(served.sid, None)
                yield served, was
