"""Answers the requests of one client for monitors: begins them within limits, and ends them.

monitors.py tells the client what the monitors see.
"""

from __future__ import annotations

import struct

from bgrscrpt_ioc.ca import messages
from bgrscrpt_ioc.ca.channels import too_large
from bgrscrpt_ioc.ca.circuit import Circuit
from bgrscrpt_ioc.ca.links import Links
from bgrscrpt_ioc.ca.messages import BrokenProtocolError, Request, message
from bgrscrpt_ioc.ca.monitors import Monitors
from bgrscrpt_ioc.ca.served import Served
from bgrscrpt_ioc.records.live import LiveRecord

MASK = struct.Struct(">12xH")  # of an EVENT_ADD: which events


class Subscriptions:
    """The monitors that one client has asked for."""

    def __init__(self, circuit: Circuit, links: Links, *, keep: bool) -> None:
        """Begin without a monitor; `keep` is as for `reads.answer`."""
        self._link, self._links, self._send = circuit.link, links, circuit.send
        self._monitors = Monitors(self._link, self._link.peer, links.watching, keep=keep)

    def subscribe(self, served: Served, request: Request) -> None:
        """Begin a monitor of a channel, or tell the client why there is none.

        Raises:
            BrokenProtocolError: the request has no mask.
        """
        if len(request.payload) < MASK.size:
            raise BrokenProtocolError("a monitor without a mask")
        _, kind, count, _, identity, payload = request
        shares = self._links.subscriptions
        if too_large(served.channel, kind, count):
            self._refuse(served, request, messages.ECA_TOLARGE)
        elif not self._may_watch(served.channel.live) or not self._links.may_have(
            shares, "monitors", self._link
        ):
            self._refuse(served, request, messages.ECA_ADDFAIL)
        else:
            shares.take(self._link)
            (mask,) = MASK.unpack_from(payload)
            served.add(self._monitors.add(served, kind, count, identity, mask))

    def _may_watch(self, live: LiveRecord) -> bool:
        """Return whether the client's host may have one more monitor of a record."""
        most = self._links.limits.subscriptions_of_record
        may = self._links.watching[self._link.peer, live] < most
        if not may:
            self._link.complain(f"{live.name}: monitor refused: this host has {most} of it already")
        return may

    def _refuse(self, served: Served, request: Request, status: int) -> None:
        self._send(messages.error(request, served.cid, status, served.channel.name))

    def cancel(self, served: Served, request: Request) -> None:
        """End one monitor of a channel, and confirm that to the client.

        Raises:
            BrokenProtocolError: the client has no such monitor.
        """
        subscription = served.take(request.two)
        self._monitors.remove(subscription)
        self._links.subscriptions.give(self._link)
        kind, count, sid = subscription.kind, subscription.count, request.one
        self._send(message(messages.EVENT_ADD, kind, count, sid, request.two))

    def end(self, served: Served) -> None:
        """End all monitors of a channel: the client has the channel no more."""
        monitors = served.monitors
        for subscription in monitors:
            self._monitors.remove(subscription)
        self._links.subscriptions.give(self._link, len(monitors))

    def end_all(self) -> None:
        """End all monitors: the client has gone."""
        self._links.subscriptions.give(self._link, len(self._monitors))
        self._monitors.clear()

    def tell(self, served: Served) -> None:
        """Send what a channel reads now to its monitors: the client may read it now, or may not."""
        for subscription in served.monitors:
            self._monitors.tell(subscription)

    def switch(self, *, on: bool) -> None:
        """Send changes from now on, or keep the newest of each monitor until later."""
        self._monitors.switch(on=on)

    def catch_up(self) -> None:
        """Send what the monitors have not sent yet, for as long as the client takes it."""
        self._monitors.catch_up()
