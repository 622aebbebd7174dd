"""Bounds the long requests of one client: puts of arrays, to PVs that scripts have made.

A request is long if it has more bytes than any other request may have. What comes of such a put is
kept until it is whole: so its size is bounded by its PV, and the bytes of all of them by host.
"""

from __future__ import annotations

from bgrscrpt_ioc.ca.channels import LARGEST_CONVERSION
from bgrscrpt_ioc.ca.links import Connection, Links
from bgrscrpt_ioc.ca.messages import LONGEST_REQUEST, WRITE, WRITE_NOTIFY, BrokenProtocolError
from bgrscrpt_ioc.ca.served import ServedChannels

PUTS = (WRITE, WRITE_NOTIFY)
PADDING = 8  # bytes: a request has a multiple of them


class LongPuts:
    """The long put that comes now, if there is one: a client's requests come one after another."""

    def __init__(self, links: Links, link: Connection, served: ServedChannels) -> None:
        """Take the bytes of a put by `link` to a channel in `served` from the shares of `links`."""
        self._links, self._link, self._served = links, link, served
        self._coming = 0  # bytes of the put that has been admitted

    def admit(self, command: int, kind: int, sid: int, size: int) -> None:
        """Let a request of `size` bytes come. The same request is asked for until it is whole.

        Raises:
            BrokenProtocolError: it is too long, or clients send too much at once.
        """
        if size <= LONGEST_REQUEST or self._coming:
            return
        longest = self._longest(kind, sid) if command in PUTS else 0
        if size > max(longest, LONGEST_REQUEST):
            raise BrokenProtocolError(f"a request of more than {LONGEST_REQUEST} bytes")
        shares = self._links.long_puts
        if not self._links.may_have(shares, "bytes of long puts", self._link):
            raise BrokenProtocolError("too many long puts at once")
        shares.take(self._link, size)
        self._coming = size

    def _longest(self, kind: int, sid: int) -> int:
        if sid in self._served.gone:  # the client has not heard of it yet; the put will be ignored
            return LARGEST_CONVERSION
        served = self._served.find(sid)
        if served is None or not served.writable:
            return 0
        return served.channel.longest_put(kind) + PADDING

    def came(self) -> None:
        """Give back the bytes of the put, if there is one: it is whole, or the client has gone."""
        if self._coming:
            self._links.long_puts.give(self._link, self._coming)
            self._coming = 0
