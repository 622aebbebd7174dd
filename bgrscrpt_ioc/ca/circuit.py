"""What one client asks of the Channel Access server, and the answers.

Nothing waits for a put, and nobody for a slow client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import caproto as ca
from caproto import ChannelType

from bgrscrpt_ioc.ca import reads, wire
from bgrscrpt_ioc.ca.channels import Channel, Reading, no_reading, too_large
from bgrscrpt_ioc.ca.guard import Guard, asker
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.links import Links
from bgrscrpt_ioc.ca.lookup import find, has
from bgrscrpt_ioc.ca.monitors import Monitors
from bgrscrpt_ioc.ca.puts import Writable

LONGEST_NAME = 256  # characters of a user or host that are kept


class Circuit(Link):
    """One client."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        port: int,
        links: Links,
        address: tuple[str, int],
        *,
        guard: Guard,
        fast_reads: bool = True,
    ) -> None:
        """Serve `channels`, on this port, to the client at `address`; reads.py has fast reads."""
        super().__init__(links, address)
        self._guard, self._fast_reads = guard, fast_reads
        self._rights: dict[int, ca.AccessRights] = {}  # by sid
        self._readable: dict[int, Channel] = {}  # by sid, those that the client may read
        self._channels, self._port = channels, port
        self._user = self._claimed_host = ""
        self._served: dict[int, Channel] = {}  # by sid
        self._monitors = Monitors(self, self._reading)
        self._pending = 0  # puts

    def ended(self) -> None:
        """Forget the client. What it has commanded goes on."""
        self._links.subscriptions -= len(self._monitors)
        self._links.channels -= len(self._served)
        self._monitors.clear()
        for each in self._served, self._rights, self._readable:
            each.clear()

    @property
    def at_work(self) -> bool:
        """Whether the client has channels."""
        return bool(self._served)

    def dismisses(self, request: Any) -> bool:
        """Tell who wants a channel that is not to be had.

        caproto would keep each of them for as long as the connection lasts, and read a filter from
        its name, in a way that a name can break.
        """
        if not isinstance(request, ca.CreateChanRequest):
            return False
        if has(self._channels, request.name) and self._may_have("channels", len(self._served)):
            return False
        self.send_unchecked(ca.CreateChFailResponse(request.cid))
        return True

    def _may_have(self, what: str, has: int) -> bool:
        """Whether the client may have one more; said in the log if not."""
        limits, there_are = self._links.limits, getattr(self._links, what)
        of_circuit, of_all = getattr(limits, f"{what}_of_circuit"), getattr(limits, what)
        if has >= of_circuit:
            self._complain(f"refused: one connection may have {of_circuit} {what}")
        elif there_are >= of_all:
            self._complain(f"refused: all clients together may have {of_all} {what}")
        else:
            return True
        return False

    def _complain(self, what: str) -> None:
        self._links.complaints.say(self.peer, what)

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
        self._claimed_host = request.name[:LONGEST_NAME]
        self.rights_changed()

    def _client_name(self, request: Any) -> None:
        self._user = request.name[:LONGEST_NAME]
        self.rights_changed()

    def _search(self, request: Any) -> None:
        version = ca.DEFAULT_PROTOCOL_VERSION
        if has(self._channels, request.name):
            self.send(ca.SearchResponse(self._port, None, request.cid, version))
        elif request.reply == ca.DO_REPLY:
            self.send(ca.NotFoundResponse(version, request.cid))

    def _create(self, request: Any) -> None:
        channel = find(self._channels, request.name)
        if channel is None:  # else it had been dismissed
            raise ca.RemoteProtocolError(f"no channel {request.name}")
        sid = self.protocol.new_channel_id()
        self._served[sid] = channel
        self._links.channels += 1
        self.send(
            ca.AccessRightsResponse(request.cid, self._granted(sid, channel)),
            ca.CreateChanResponse(channel.kind, channel.size, request.cid, sid),
        )

    def rights_changed(self) -> None:
        """The client may do more, or less, than before: tell it."""
        for sid, channel in self._served.items():
            before = self._rights[sid]
            if (rights := self._granted(sid, channel)) != before:
                cid = self.protocol.channels_sid[sid].cid
                self.send(ca.AccessRightsResponse(cid, rights))
                if (rights ^ before) & ca.AccessRights.READ:
                    for subscription in self._monitors.of(sid):  # may see it now, or may not
                        self._monitors.tell(subscription)

    def _granted(self, sid: int, channel: Channel) -> ca.AccessRights:
        """What the client may do with a channel; remembered."""
        own = (self.protocol.our_address or ("",))[0]
        rights = self._guard.rights(channel, self._user, self.peer, own)
        self._rights[sid] = rights
        self._readable.pop(sid, None)
        if rights & ca.AccessRights.READ:
            self._readable[sid] = channel
        return rights

    def _clear(self, request: Any) -> None:
        if self._served.pop(request.sid, None) is None:
            raise ca.RemoteProtocolError(f"no channel {request.sid}")
        del self._rights[request.sid]
        self._readable.pop(request.sid, None)
        self._links.channels -= 1
        if self.protocol.channels_sid[request.sid].cid != request.cid:  # it may be another's
            raise ca.RemoteProtocolError(f"channel {request.sid} is not {request.cid}")
        for subscription in self._monitors.of(request.sid):
            self._unsubscribe(subscription.identity)
            del self.protocol.event_add_commands[subscription.identity]
        self.send(ca.ClearChannelResponse(request.sid, request.cid))

    def _read(self, request: Any) -> None:
        channel = self._fresh(request)
        kind = request.data_type
        if too_large(channel, kind, request.data_count):
            reading, status = Reading(b"", b"", 0), ca.CAStatus.ECA_TOLARGE
        else:
            reading, status = self._reading(request.sid, channel, kind, request.data_count)
        answer = ca.ReadNotifyResponse(
            reading.data, kind, reading.count, status, request.ioid, metadata=reading.metadata
        )
        if self._fast_reads and status is ca.CAStatus.ECA_NORMAL:
            reads.keep(channel, int(kind), request.data_count, answer)
        self.send(answer)

    def answered_at_once(self, data: memoryview) -> int:
        """Answer reads of what is at hand."""
        return reads.answered(data, self._readable, self.send_bytes) if self._fast_reads else 0

    def _reading(
        self, sid: int, channel: Channel, kind: ChannelType, count: int
    ) -> tuple[Reading, ca.CAStatus]:
        if sid not in self._readable:
            return no_reading(kind, count), ca.CAStatus.ECA_NORDACCESS
        try:
            return channel.read(kind, count), ca.CAStatus.ECA_NORMAL
        except wire.ConversionError:  # as base has it: zeros, and the status says so
            return no_reading(kind, count), ca.CAStatus.ECA_GETFAIL

    def _fresh(self, request: Any) -> Channel:
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
            self._begin_put(request, channel, values, by)
        except wire.ConversionError as error:
            self._complain(f"{channel.name}: put by {by} refused: {error}")
            self._fail(request, ca.CAStatus.ECA_PUTFAIL)

    def _begin_put(self, request: Any, channel: Writable, values: list[Any], by: str) -> None:
        if not self._rights[request.sid] & ca.AccessRights.WRITE:
            self._guard.put(channel, values, by, refused=True)
            self._fail(request, ca.CAStatus.ECA_NOWTACCESS)
            return
        limits = self._links.limits
        if self._pending >= limits.puts_of_circuit or channel.pending >= limits.puts_of_channel:
            self._complain(f"{channel.name}: put refused: too many have not ended yet")
            self._fail(request, ca.CAStatus.ECA_PUTCBINPROG)
            return
        self._guard.put(channel, values, by)
        self._pending += 1
        try:
            channel.put(values, by, partial(self._written, request))
        except wire.ConversionError:
            self._pending -= 1
            raise

    def _fail(self, request: Any, status: ca.CAStatus) -> None:
        """Refuse a put at once; as base does it, by an exception where no answer is waited for."""
        if isinstance(request, ca.WriteNotifyRequest):
            self._complete(request, status)
        else:
            channel = self.protocol.channels_sid[request.sid]
            self.send(ca.ErrorResponse(request, channel.cid, status, channel.name))

    def _written(self, request: Any, succeeded: bool) -> None:
        """The put is over. The client may have gone, or dropped the channel."""
        self._pending -= 1
        if isinstance(request, ca.WriteNotifyRequest) and request.sid in self._served:
            self._complete(
                request, ca.CAStatus.ECA_NORMAL if succeeded else ca.CAStatus.ECA_PUTFAIL
            )

    def _complete(self, request: Any, status: ca.CAStatus) -> None:
        self.send(
            ca.WriteNotifyResponse(request.data_type, request.data_count, status, request.ioid)
        )

    # --- monitors ------------------------------------------------------------------------------

    def _subscribe(self, request: Any) -> None:
        channel = self._fresh(request)
        if request.subscriptionid in self._monitors:
            raise ca.RemoteProtocolError(f"a second monitor {request.subscriptionid}")
        if too_large(channel, request.data_type, request.data_count):
            self._fail_subscription(request, channel, ca.CAStatus.ECA_TOLARGE)
        elif not self._may_have("subscriptions", len(self._monitors)):
            self._fail_subscription(request, channel, ca.CAStatus.ECA_ADDFAIL)
        else:
            self._links.subscriptions += 1
            self._monitors.add(channel, request)

    def _fail_subscription(self, request: Any, channel: Channel, status: ca.CAStatus) -> None:
        del self.protocol.event_add_commands[request.subscriptionid]
        cid = self.protocol.channels_sid[request.sid].cid
        self.send(ca.ErrorResponse(request, cid, status, channel.name))

    def _cancel(self, request: Any) -> None:
        count = self._unsubscribe(request.subscriptionid)
        self.send(
            ca.EventCancelResponse(request.data_type, request.sid, request.subscriptionid, count)
        )

    def _unsubscribe(self, identity: int) -> int:
        self._links.subscriptions -= 1
        return self._monitors.remove(identity).count

    def _events_off(self, _request: Any) -> None:
        self._monitors.switch(on=False)

    def _events_resume(self, _request: Any) -> None:
        self._monitors.switch(on=True)

    def caught_up(self) -> None:
        """Tell the monitors what they have missed."""
        self._monitors.catch_up()

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
