"""What one client asks of the Channel Access server, and the answers; its monitors.

Nothing waits for a put, and nobody for a slow client: what that one does not take is replaced by
what is newer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import caproto as ca
from caproto import ChannelType

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.channels import Channel, Reading
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.lookup import find
from bgrscrpt_ioc.ca.puts import Writable

READ_ONLY = ca.AccessRights.READ
READ_WRITE = ca.AccessRights.READ | ca.AccessRights.WRITE

log = logging.getLogger("bgrscrpt_ioc.ca.circuit")


class Subscription:
    """One monitor of one client."""

    __slots__ = ("channel", "circuit", "count", "identity", "kind", "mask")

    def __init__(self, circuit: Circuit, channel: Channel, request: Any) -> None:
        self.circuit, self.channel = circuit, channel
        self.kind, self.count = ChannelType(request.data_type), request.data_count
        self.identity, self.mask = request.subscriptionid, request.mask

    def changed(self) -> None:
        """Have the client told."""
        self.circuit.tell(self)


class Circuit(Link):
    """One client."""

    def __init__(self, channels: Mapping[str, Channel], port: int, links: set[Link]) -> None:
        """Serve `channels`, on this port."""
        super().__init__(links)
        self._channels, self._port = channels, port
        self._user = self._claimed_host = ""
        self._served: dict[int, Channel] = {}  # by sid
        self._subscriptions: dict[int, Subscription] = {}  # by what the client calls it
        self._owed: dict[Subscription, None] = {}  # in the order of the changes
        self._events_on = True

    def ended(self) -> None:
        """Forget the client. What it has commanded goes on."""
        for subscription in [*self._subscriptions.values()]:
            self._unsubscribe(subscription)
        self._served.clear()

    def answer(self, request: Any) -> None:
        """Answer a request, or begin what it asks for."""
        answer = self._ANSWERS.get(type(request))
        if answer is None:
            raise ca.RemoteProtocolError(f"{type(request).__name__} is not served")
        answer(self, request)

    # --- channels and reads --------------------------------------------------------------------

    def _version(self, _request: Any) -> None:
        self.send(ca.VersionResponse(ca.DEFAULT_PROTOCOL_VERSION))

    def _echo(self, _request: Any) -> None:
        self.send(ca.EchoResponse())

    def _host_name(self, request: Any) -> None:
        self._claimed_host = request.name

    def _client_name(self, request: Any) -> None:
        self._user = request.name

    def _search(self, request: Any) -> None:
        version = ca.DEFAULT_PROTOCOL_VERSION
        if find(self._channels, request.name) is not None:
            self.send(ca.SearchResponse(self._port, None, request.cid, version))
        elif request.reply == ca.DO_REPLY:
            self.send(ca.NotFoundResponse(version, request.cid))

    def _create(self, request: Any) -> None:
        channel = find(self._channels, request.name)
        if channel is None:
            self.send(ca.CreateChFailResponse(request.cid))
            return
        sid = self.protocol.new_channel_id()
        self._served[sid] = channel
        self.send(
            ca.AccessRightsResponse(request.cid, READ_WRITE if channel.writable else READ_ONLY),
            ca.CreateChanResponse(channel.kind, channel.size, request.cid, sid),
        )

    def _clear(self, request: Any) -> None:
        if self._served.pop(request.sid, None) is None:
            raise ca.RemoteProtocolError(f"no channel {request.sid}")
        asked = self.protocol.event_add_commands
        for subscription in [*self._subscriptions.values()]:
            if asked[subscription.identity].sid == request.sid:
                self._unsubscribe(subscription)
                del asked[subscription.identity]
        self.send(ca.ClearChannelResponse(request.sid, request.cid))

    def _read(self, request: Any) -> None:
        channel = self._readable(request)
        kind = request.data_type
        reading, status = self._reading(channel, kind, request.data_count)
        self.send(
            ca.ReadNotifyResponse(
                reading.data, kind, reading.count, status, request.ioid, metadata=reading.metadata
            )
        )

    def _reading(
        self, channel: Channel, kind: ChannelType, count: int
    ) -> tuple[Reading, ca.CAStatus]:
        try:
            return channel.read(kind, count), ca.CAStatus.ECA_NORMAL
        except wire.ConversionError:  # as base has it: zeros, and the status says so
            count = count or 1
            zeros = wire.metadata(kind, wire.Meta()), wire.padded(b"", kind, count)
            return Reading(*zeros, count), ca.CAStatus.ECA_GETFAIL

    def _readable(self, request: Any) -> Channel:
        """The channel that is to be read, and is up to date now.

        Raises:
            ca.RemoteProtocolError: it asks of it what no client should.
        """
        channel = self._asked(request)
        if request.data_type in (ChannelType.PUT_ACKS, ChannelType.PUT_ACKT):
            raise ca.RemoteProtocolError(f"{request.data_type.name} is not for reading")
        if channel.refresh is not None:
            channel.refresh()
        return channel

    def _asked(self, request: Any) -> Channel:
        """The channel that the request is about.

        Raises:
            ca.RemoteProtocolError: it asks of it what no client should.
        """
        channel = self._served.get(request.sid)
        if channel is None:
            raise ca.RemoteProtocolError(f"no channel {request.sid}")
        if request.header.data_type not in ca.ChannelType.__members__.values():
            raise ca.RemoteProtocolError(f"no DBR type {request.header.data_type}")
        if request.data_count > channel.size:
            raise ca.RemoteProtocolError(
                f"{request.data_count} elements of {channel.name}, which has {channel.size}"
            )
        return channel

    # --- puts ----------------------------------------------------------------------------------

    def _write(self, request: Any) -> None:
        """Begin a put. It is answered when it is over; other requests do not wait for it."""
        channel = self._asked(request)
        if not isinstance(channel, Writable):
            self._fail(request, ca.CAStatus.ECA_NOWTACCESS)
            return
        by = asker(self._user, self._claimed_host, self.peer)
        try:
            payload = b"".join(request.buffers)
            values = wire.unpack(request.data_type, request.data_count, payload)
            channel.put(values, by, partial(self._written, request))
        except wire.ConversionError as error:
            log.info("%s: put by %s refused: %s", channel.name, by, error)
            self._fail(request, ca.CAStatus.ECA_PUTFAIL)

    def _fail(self, request: Any, status: ca.CAStatus) -> None:
        """Refuse a put at once; as base does it, by an exception where no answer is waited for."""
        if isinstance(request, ca.WriteNotifyRequest):
            self._complete(request, status)
        else:
            channel = self.protocol.channels_sid[request.sid]
            self.send(ca.ErrorResponse(request, channel.cid, status, channel.name))

    def _written(self, request: Any, succeeded: bool) -> None:
        """The put is over. The client may have gone, or dropped the channel."""
        if isinstance(request, ca.WriteNotifyRequest) and request.sid in self._served:
            self._complete(
                request, ca.CAStatus.ECA_NORMAL if succeeded else ca.CAStatus.ECA_PUTFAIL
            )

    def _complete(self, request: Any, status: ca.CAStatus) -> None:
        try:
            self.send(
                ca.WriteNotifyResponse(request.data_type, request.data_count, status, request.ioid)
            )
        except ca.LocalProtocolError as error:  # two pending puts, one identity: the client's bug
            self.refuse(error)

    # --- monitors ------------------------------------------------------------------------------

    def _subscribe(self, request: Any) -> None:
        channel = self._readable(request)
        if request.subscriptionid in self._subscriptions:
            raise ca.RemoteProtocolError(f"a second monitor {request.subscriptionid}")
        subscription = Subscription(self, channel, request)
        self._subscriptions[request.subscriptionid] = subscription
        channel.subscribers += (subscription,)
        self.tell(subscription)

    def _cancel(self, request: Any) -> None:
        subscription = self._subscriptions[request.subscriptionid]
        self._unsubscribe(subscription)
        self.send(
            ca.EventCancelResponse(
                request.data_type, request.sid, request.subscriptionid, subscription.count
            )
        )

    def _unsubscribe(self, subscription: Subscription) -> None:
        channel = subscription.channel
        channel.subscribers = tuple(s for s in channel.subscribers if s is not subscription)
        self._owed.pop(subscription, None)
        del self._subscriptions[subscription.identity]

    def _events_off(self, _request: Any) -> None:
        self._events_on = False

    def _events_resume(self, _request: Any) -> None:
        self._events_on = True
        self.caught_up()

    def tell(self, subscription: Subscription) -> None:
        """Send what the channel reads now; later, and then the newest, to one who is behind."""
        if self.stalled or not self._events_on:
            self._owed[subscription] = None
            return
        kind = subscription.kind
        reading, status = self._reading(subscription.channel, kind, subscription.count)
        self.send(
            ca.EventAddResponse(
                reading.data,
                kind,
                reading.count,
                status,
                subscription.identity,
                metadata=reading.metadata,
            )
        )

    def caught_up(self) -> None:
        """Tell what is owed, for as long as the client takes it."""
        while self._owed and self._events_on and not self.stalled:
            subscription = next(iter(self._owed))
            del self._owed[subscription]
            self.tell(subscription)

    _ANSWERS: ClassVar[dict[type, Callable[[Circuit, Any], None]]] = {
        ca.ClearChannelRequest: _clear,
        ca.ClientNameRequest: _client_name,
        ca.CreateChanRequest: _create,
        ca.EchoRequest: _echo,
        ca.EventAddRequest: _subscribe,
        ca.EventCancelRequest: _cancel,
        ca.EventsOffRequest: _events_off,
        ca.EventsOnRequest: _events_resume,
        ca.HostNameRequest: _host_name,
        ca.ReadNotifyRequest: _read,
        ca.SearchRequest: _search,
        ca.VersionRequest: _version,
        ca.WriteNotifyRequest: _write,
        ca.WriteRequest: _write,
    }


def asker(user: str, claimed_host: str, peer: str) -> str:
    """Who puts, as `user@host`, for messages and logs; not to be trusted.

    The user is what the client claims: the protocol knows no more. So is the host where the client
    is on this host; else it is the address that the connection comes from.
    """
    host = claimed_host if peer.startswith("127.") else peer
    return f"{_name(user)}@{_name(host)}"


def _name(text: str) -> str:
    return re.sub(r"[^\w.\-]", "?", text)[:40] or "?"
