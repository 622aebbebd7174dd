"""Carries out what one client asks of the Channel Access server, and sends the answers.

Nothing waits for a put, and nobody waits for a slow client. This server answers with an error where
base's server does (rsrv/camessage.c), and ends a connection where base ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from bgrscrpt_ioc.access.rights import Access, Asker, Rights
from bgrscrpt_ioc.ca import messages, wire
from bgrscrpt_ioc.ca.circuit import Circuit
from bgrscrpt_ioc.ca.gets import ClientGets
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.links import Links
from bgrscrpt_ioc.ca.longputs import PUTS, LongPuts
from bgrscrpt_ioc.ca.lookup import Channels
from bgrscrpt_ioc.ca.messages import BrokenProtocolError, Request, message
from bgrscrpt_ioc.ca.puts import ClientPuts
from bgrscrpt_ioc.ca.served import Served, ServedChannels
from bgrscrpt_ioc.ca.subscriptions import Subscriptions
from bgrscrpt_ioc.records.live import LiveRecord

DO_REPLY = 10  # of a search: say so if it is not here
OF_A_CHANNEL = frozenset(
    {
        messages.EVENT_ADD, messages.EVENT_CANCEL, messages.READ, messages.READ_NOTIFY,
        messages.WRITE, messages.WRITE_NOTIFY, messages.CLEAR,
    }
)  # fmt: skip


class Session:
    """The session of one client."""

    def __init__(
        self,
        circuit: Circuit,
        channels: Channels,
        port: int,
        links: Links,
        *,
        access: Access,
        fast_reads: bool = True,
    ) -> None:
        """Serve `channels`, on this port, by `circuit`; reads.py explains fast reads."""
        self._circuit, self._link, self._links = circuit, circuit.link, links
        self._send = circuit.send
        self._access = access
        self._channels, self._port = channels, port
        self._served = ServedChannels(access, Asker("", "", self._link.peer, ""))
        self.long_puts = LongPuts(links, self._link, self._served)
        self._subscriptions = Subscriptions(circuit, links, keep=fast_reads)
        limits = links.limits
        self._puts = ClientPuts(
            access,
            self._served,
            self._send,
            self._link.complain,
            self._link.spend,
            circuit.turn_soon,
            most=limits.puts_of_circuit,
            most_of_record=limits.puts_of_channel,
        )
        self._gets = ClientGets(circuit, self._served, self._puts, fast=fast_reads)
        self._greeted = False
        access.watch(self.rights_changed)
        channels.watch(self.removed)

    def ended(self) -> None:
        """Forget the client. Its commands go on."""
        self._access.unwatch(self.rights_changed)
        self._channels.unwatch(self.removed)
        self._subscriptions.end_all()
        self._links.channels.give(self._link, len(self._served))
        self._gets.clear()
        self.long_puts.came()
        for served in self._served:
            self._channels.close(served.channel)
        self._served.clear()

    @property
    def at_work(self) -> bool:
        """Return whether the client has channels."""
        return bool(self._served)

    def may_begin(self, request: Request) -> bool:
        """Return whether a request need not wait for those before it.

        A request after a put must see what the put has done when it began, and not what a later put
        does. In base this is so because a put is done at once.
        """
        return not self._gets.full and (request.command in PUTS or not self._puts.begin)

    def answer(self, request: Request) -> None:
        """Answer a request, or begin what it asks for.

        Raises:
            BrokenProtocolError: the request makes no sense.
        """
        answer = self._ANSWERS.get(request.command)
        if answer is None:
            raise BrokenProtocolError(f"command {request.command} is not served")
        if request.one in self._served.gone and request.command in OF_A_CHANNEL:
            return  # the client had not heard that the channel is gone
        answer(self, request)

    # --- small talk ----------------------------------------------------------------------------

    def _version(self, _request: Request) -> None:
        if not self._greeted:  # libca sends one more before every search over TCP
            self._greeted = True
            self._send(message(messages.VERSION, count=messages.MINOR_VERSION))

    def _echo(self, request: Request) -> None:
        self._send(message(*request))

    def _read_sync(self, request: Request) -> None:
        self._send(message(*request[:5]))

    def _client_name(self, request: Request) -> None:
        asker = self._served.asker
        self._become(request, request.name, asker.claimed_host)

    def _host_name(self, request: Request) -> None:
        self._become(request, self._served.asker.user, request.name)

    def _become(self, request: Request, user: str, host: str) -> None:
        """Note who the client is, before its first channel: its rights are worked out once.

        Raises:
            BrokenProtocolError: the name is too long.
        """
        if self._served:
            why = "the server ignores a user or host name after the first channel"
            self._send(messages.error(request, messages.NO_CHANNEL, messages.ECA_INTERNAL, why))
            return
        if len(request.name) >= messages.LONGEST_NAME:
            raise BrokenProtocolError("a very long user or host name")
        self._served.become(Asker(user, host, self._link.peer, self._link.own_address))

    def _search(self, request: Request) -> None:
        if self._channels.has(request.name):
            if self._links.answers(self._link.peer, 1):
                version = messages.MINOR_VERSION.to_bytes(2)
                self._send(
                    message(messages.SEARCH, self._port, 0, 0xFFFFFFFF, request.two, version)
                )
        elif request.kind == DO_REPLY:
            self._send(message(messages.NOT_FOUND, *request[1:5]))

    # --- channels ------------------------------------------------------------------------------

    def _create(self, request: Request) -> None:
        name, cid, link = request.name, request.one, self._link
        shares = self._links.channels
        if not self._channels.has(name) or not self._links.may_have(shares, "channels", link):
            self._send(message(messages.CREATE_FAILED, one=cid))
            return
        channel = self._channels.open(name)
        if channel is None:
            raise BrokenProtocolError(f"no channel {name}")
        shares.take(link)
        served = self._served.open(channel, cid)
        self._send_rights(served)
        self._send(message(messages.CREATE, channel.kind, channel.size, cid, served.sid))

    def _send_rights(self, served: Served) -> None:
        self._send(message(messages.RIGHTS, one=served.cid, two=on_the_wire(served.rights)))

    def rights_changed(self) -> None:
        """Tell the client that it may do more, or less, than before."""
        self._circuit.guarded(self._tell_of_rights)

    def _tell_of_rights(self) -> None:
        for served, before in self._served.changed():
            self._send_rights(served)
            if Rights.READ in served.rights ^ before:
                self._subscriptions.tell(served)

    def removed(self, records: set[LiveRecord]) -> None:
        """Tell the client that the channels of these records are disconnected."""
        gone = [each for each in self._served if each.channel.live in records]
        for served in gone:
            self._circuit.guarded(partial(self._remove, served))

    def _remove(self, served: Served) -> None:
        self._give_back(served)
        self._served.end(served)
        self._send(message(messages.DISCONNECTED, one=served.cid))

    def _clear(self, request: Request) -> None:
        served = self._served.of(request.one)
        self._give_back(served)
        self._served.close(served)
        self._send(message(*request[:5]))

    def _give_back(self, served: Served) -> None:
        self._subscriptions.end(served)
        self._links.channels.give(self._link)
        self._channels.close(served.channel)

    # --- gets and puts -------------------------------------------------------------------------

    def answered_at_once(self, data: memoryview) -> int:
        """Answer the gets at the start of the data whose readings are at hand."""
        return self._gets.answered_at_once(data)

    def _read(self, request: Request) -> None:
        self._gets.get(self._asked(request), request)

    def _asked(self, request: Request) -> Served:
        """Return the channel of a request.

        Raises:
            BrokenProtocolError: there is no such channel, or no such type.
        """
        if request.kind > wire.LAST:
            raise BrokenProtocolError(f"no DBR type {request.kind}")
        return self._served.of(request.one)

    def _write(self, request: Request) -> None:
        self._puts.put(self._asked(request), request)

    # --- monitors ------------------------------------------------------------------------------

    def _subscribe(self, request: Request) -> None:
        self._subscriptions.subscribe(self._asked(request), request)

    def _cancel(self, request: Request) -> None:
        self._subscriptions.cancel(self._served.of(request.one), request)

    def _events_off(self, _request: Request) -> None:
        self._subscriptions.switch(on=False)

    def _events_on(self, _request: Request) -> None:
        self._subscriptions.switch(on=True)

    def caught_up(self) -> None:
        """Answer the gets that wait, and let the monitors send what they have not sent."""
        self._gets.catch_up()
        self._subscriptions.catch_up()

    _ANSWERS: ClassVar[dict[int, Callable[[Session, Request], None]]] = {
        messages.CLEAR: _clear,
        messages.CLIENT_NAME: _client_name,
        messages.CREATE: _create,
        messages.ECHO: _echo,
        messages.EVENT_ADD: _subscribe,
        messages.EVENT_CANCEL: _cancel,
        messages.EVENTS_OFF: _events_off,
        messages.EVENTS_ON: _events_on,
        messages.HOST_NAME: _host_name,
        messages.READ: _read,
        messages.READ_NOTIFY: _read,
        messages.READ_SYNC: _read_sync,
        messages.SEARCH: _search,
        messages.VERSION: _version,
        messages.WRITE: _write,
        messages.WRITE_NOTIFY: _write,
    }


def on_the_wire(rights: Rights) -> int:
    """Return rights in the form of Channel Access."""
    return rights.value


def connection(
    channels: Channels,
    port: int,
    links: Links,
    address: tuple[str, int],
    *,
    access: Access,
    fast_reads: bool = True,
) -> Link:
    """Return the link of a client at `address` that serves these channels, on this port."""

    def session(circuit: Circuit) -> Session:
        return Session(circuit, channels, port, links, access=access, fast_reads=fast_reads)

    return Link(links, address, lambda link: Circuit(link, session))
