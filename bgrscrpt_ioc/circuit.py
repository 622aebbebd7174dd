"""One client of the Channel Access server: its requests, answered in order, and its monitors.

caproto speaks the protocol, here is no socket but an asyncio transport. Nothing waits: what a slow
client does not take is replaced by what is newer.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import caproto as ca
from caproto import ChannelType

from bgrscrpt_ioc import wire
from bgrscrpt_ioc.channels import Channel, Reading
from bgrscrpt_ioc.lookup import find
from bgrscrpt_ioc.puts import Writable

LONGEST_REQUEST = 1 << 20  # bytes; what EPICS_CA_MAX_ARRAY_BYTES allows is for arrays, we take none
BATCH = 1 << 16  # bytes of answers that are put together before they are sent
LINGER = 1.0  # s that a client gets to take what was sent, when the server closes

log = logging.getLogger("bgrscrpt_ioc.circuit")

# What caproto raises, of its own and not, on requests that break the protocol.
NONSENSE = (ca.CaprotoError, ValueError, TypeError, KeyError, IndexError)

READ_ONLY = ca.AccessRights.READ
READ_WRITE = ca.AccessRights.READ | ca.AccessRights.WRITE


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


class Circuit(asyncio.Protocol):
    """The connection to one client, from its first byte to its last."""

    def __init__(self, channels: Mapping[str, Channel], port: int, circuits: set[Circuit]) -> None:
        """Serve `channels`; be one of `circuits` as long as the connection lasts."""
        self._channels, self._port, self._circuits = channels, port, circuits
        self._loop = asyncio.get_running_loop()
        self._user = self._claimed_host = ""
        self._peer = ""
        self._requests: deque[Any] = deque()
        self._unfinished = 0  # bytes of a request that is not whole yet
        self._served: dict[int, Channel] = {}  # by sid
        self._subscriptions: dict[int, Subscription] = {}  # by what the client calls it
        self._owed: dict[Subscription, None] = {}  # in the order of the changes
        self._outgoing: list[Any] = []
        self._outgoing_size = 0
        self._flush_due = False
        self._events_on = True
        self._stalled = False  # the client does not take what is sent
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # --- the connection ------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport
        self._peer, port = transport.get_extra_info("peername")[:2]
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._circuit = ca.VirtualCircuit(ca.SERVER, (self._peer, port), None)
        self._circuit.our_address = transport.get_extra_info("sockname")[:2]
        self._circuits.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Forget the client. What it has commanded goes on."""
        self._circuits.discard(self)
        for subscription in [*self._subscriptions.values()]:
            self._unsubscribe(subscription)
        self._served.clear()
        self._requests.clear()
        self._outgoing.clear()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The client is slow: take no more requests from it, and keep only its newest values."""
        self._stalled = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stalled = False
        self._transport.resume_reading()
        self._pay()
        self._work()

    def data_received(self, data: bytes) -> None:
        """Answer what the client asks for; end the connection if that makes no sense."""
        try:
            requests, _ = self._circuit.recv(data)
        except NONSENSE as error:
            self._refuse(error)
            return
        self._unfinished = 0 if requests else self._unfinished + len(data)
        if self._unfinished > LONGEST_REQUEST:
            self._refuse(f"a request of more than {LONGEST_REQUEST} bytes")
            return
        self._requests += requests
        self._work()

    def take_no_more(self) -> None:
        """Ignore what the client asks for from now on; what is going on is still answered."""
        self._requests.clear()
        self._transport.pause_reading()

    async def close(self) -> None:
        """End the connection, with what is still to be sent if the client takes it."""
        self._flush()
        self._transport.close()
        try:
            async with asyncio.timeout(LINGER):
                await asyncio.shield(self.closed)
        except TimeoutError:
            self._transport.abort()
            await self.closed

    def _refuse(self, why: object) -> None:
        log.warning("%s: connection ended: %s", self._peer, why)
        self._requests.clear()
        self._transport.abort()

    # --- requests ------------------------------------------------------------------------------

    def _work(self) -> None:
        """Answer requests for as long as the client takes the answers."""
        while self._requests and not self._stalled and not self._transport.is_closing():
            request = self._requests.popleft()
            try:
                self._circuit.process_command(request)
                self._answer(request)
            except NONSENSE as error:
                self._refuse(error)
        self._flush()

    def _answer(self, request: Any) -> None:
        answer = self._ANSWERS.get(type(request))
        if answer is None:
            raise ca.RemoteProtocolError(f"{type(request).__name__} is not served")
        answer(self, request)

    def _version(self, _request: Any) -> None:
        self._send(ca.VersionResponse(ca.DEFAULT_PROTOCOL_VERSION))

    def _echo(self, _request: Any) -> None:
        self._send(ca.EchoResponse())

    def _host_name(self, request: Any) -> None:
        self._claimed_host = request.name

    def _client_name(self, request: Any) -> None:
        self._user = request.name

    def _search(self, request: Any) -> None:
        version = ca.DEFAULT_PROTOCOL_VERSION
        if find(self._channels, request.name) is not None:
            self._send(ca.SearchResponse(self._port, None, request.cid, version))
        elif request.reply == ca.DO_REPLY:
            self._send(ca.NotFoundResponse(version, request.cid))

    def _create(self, request: Any) -> None:
        channel = find(self._channels, request.name)
        if channel is None:
            self._send(ca.CreateChFailResponse(request.cid))
            return
        sid = self._circuit.new_channel_id()
        self._served[sid] = channel
        self._send(
            ca.AccessRightsResponse(request.cid, READ_WRITE if channel.writable else READ_ONLY),
            ca.CreateChanResponse(channel.kind, channel.size, request.cid, sid),
        )

    def _clear(self, request: Any) -> None:
        del self._served[request.sid]
        asked = self._circuit.event_add_commands
        for subscription in [*self._subscriptions.values()]:
            if asked[subscription.identity].sid == request.sid:
                self._unsubscribe(subscription)
                del asked[subscription.identity]
        self._send(ca.ClearChannelResponse(request.sid, request.cid))

    def _read(self, request: Any) -> None:
        channel = self._served[request.sid]
        self._check_count(channel, request)
        if channel.refresh is not None:
            channel.refresh()
        kind = request.data_type
        reading, status = self._reading(channel, kind, request.data_count)
        self._send(
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

    def _check_count(self, channel: Channel, request: Any) -> None:
        if request.data_count > channel.size:
            raise ca.RemoteProtocolError(
                f"{request.data_count} elements of {channel.name}, which has {channel.size}"
            )

    # --- puts ----------------------------------------------------------------------------------

    def _write(self, request: Any) -> None:
        """Begin a put. It is answered when it is over; other requests do not wait for it."""
        channel = self._served[request.sid]
        status = ca.CAStatus.ECA_NOWTACCESS
        if isinstance(channel, Writable):
            status = ca.CAStatus.ECA_PUTFAIL
            by = asker(self._user, self._claimed_host, self._peer)
            try:
                if request.data_type <= ChannelType.DOUBLE:
                    channel.put(elements(request), by, partial(self._written, request))
                    return
            except wire.ConversionError as error:
                log.info("%s: put by %s refused: %s", channel.name, by, error)
        if isinstance(request, ca.WriteNotifyRequest):
            self._complete(request, status)
        else:  # nobody waits for an answer, so it comes as an exception: as base does it
            cid = self._circuit.channels_sid[request.sid].cid
            self._send(ca.ErrorResponse(request, cid, status, channel.name))

    def _written(self, request: Any, succeeded: bool) -> None:
        """The put is over. The client may have gone, or dropped the channel."""
        if isinstance(request, ca.WriteNotifyRequest) and request.sid in self._served:
            self._complete(
                request, ca.CAStatus.ECA_NORMAL if succeeded else ca.CAStatus.ECA_PUTFAIL
            )

    def _complete(self, request: Any, status: ca.CAStatus) -> None:
        try:
            self._send(
                ca.WriteNotifyResponse(request.data_type, request.data_count, status, request.ioid)
            )
        except ca.LocalProtocolError as error:  # two pending puts, one identity: the client's bug
            self._refuse(error)

    # --- monitors ------------------------------------------------------------------------------

    def _subscribe(self, request: Any) -> None:
        channel = self._served[request.sid]
        self._check_count(channel, request)
        if request.subscriptionid in self._subscriptions:
            raise ca.RemoteProtocolError(f"a second monitor {request.subscriptionid}")
        if channel.refresh is not None:
            channel.refresh()
        subscription = Subscription(self, channel, request)
        self._subscriptions[request.subscriptionid] = subscription
        channel.subscribers += (subscription,)
        self.tell(subscription)

    def _cancel(self, request: Any) -> None:
        subscription = self._subscriptions[request.subscriptionid]
        self._unsubscribe(subscription)
        self._send(
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
        self._pay()

    def tell(self, subscription: Subscription) -> None:
        """Send what the channel reads now; later, and then the newest, to one who is behind."""
        if self._stalled or not self._events_on:
            self._owed[subscription] = None
            return
        kind = subscription.kind
        reading, status = self._reading(subscription.channel, kind, subscription.count)
        self._send(
            ca.EventAddResponse(
                reading.data,
                kind,
                reading.count,
                status,
                subscription.identity,
                metadata=reading.metadata,
            )
        )

    def _pay(self) -> None:
        """Tell what is owed, for as long as the client takes it."""
        while self._owed and self._events_on and not self._stalled:
            subscription = next(iter(self._owed))
            del self._owed[subscription]
            self.tell(subscription)

    # --- sending -------------------------------------------------------------------------------

    def _send(self, *messages: Any) -> None:
        if self._transport.is_closing():
            return
        self._outgoing += self._circuit.send(*messages)
        self._outgoing_size += sum(map(len, messages))
        if self._outgoing_size > BATCH:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._outgoing and not self._transport.is_closing():
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._outgoing_size = 0
            self._transport.write(data)

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


def elements(request: Any) -> list[object]:
    """What a put carries: numbers, or bytes for texts."""
    data = request.data
    return data.tolist() if hasattr(data, "tolist") else list(data)
