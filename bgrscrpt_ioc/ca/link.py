"""One connection of a client: bytes in, requests out; messages in, batches of bytes out.

caproto reads and writes the protocol, asyncio the socket. What is asked for is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from typing import Any

import caproto as ca

LONGEST_REQUEST = 1 << 20  # bytes; nothing that we take is an array
PIECE = 1 << 12  # bytes that caproto gets at once: it copies what is left after each request
BATCH = 1 << 16  # bytes of answers that are put together before they are sent
LINGER = 1.0  # s that a client gets to take what was sent, when the server closes

# What caproto raises, of its own and not, on bytes and requests that break the protocol.
NONSENSE = (ca.CaprotoError, ValueError, TypeError, KeyError, IndexError)

log = logging.getLogger("bgrscrpt_ioc.ca.link")


class Link(asyncio.Protocol):
    """The connection to one client, from its first byte to its last.

    A client that does not take what is sent is `stalled`: its requests wait, in its own socket
    where they are many, and who would tell it something keeps that for `caught_up`.
    """

    peer: str
    protocol: ca.VirtualCircuit

    def __init__(self, links: set[Link]) -> None:
        """Be one of `links` as long as the connection lasts."""
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._requests: deque[Any] = deque()
        self._unfinished = 0  # bytes of a request that is not whole yet
        self._outgoing: list[Any] = []
        self._outgoing_size = 0
        self._flush_due = False
        self._deaf = False
        self.stalled = False
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # --- what a subclass makes of it -----------------------------------------------------------

    def answer(self, request: Any) -> None:
        """Answer a request.

        Raises:
            ca.RemoteProtocolError: it makes no sense. The connection ends, as it does with any
                other exception, which is a fault of ours and goes to asyncio's log.
        """
        raise NotImplementedError

    def caught_up(self) -> None:
        """The client takes again what is sent."""

    def ended(self) -> None:
        """The client has gone."""

    # --- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport: asyncio.Transport = transport
        self.peer, port = transport.get_extra_info("peername")[:2]
        # Clients that vanish without a word are found out in the end, as by base.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.protocol = ca.VirtualCircuit(ca.SERVER, (self.peer, port), None)
        self.protocol.our_address = transport.get_extra_info("sockname")[:2]
        self._links.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End."""
        self._links.discard(self)
        self._requests.clear()
        self._outgoing.clear()
        self.ended()
        self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The client is slow."""
        self.stalled = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.stalled = False
        if not self._deaf:
            self._transport.resume_reading()
        self.caught_up()
        self._work()

    def data_received(self, data: bytes) -> None:
        """Take requests."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            try:
                requests, _ = self.protocol.recv(piece)
            except NONSENSE as error:
                self.refuse(error)
                return
            self._requests += requests
            self._unfinished = 0 if requests else self._unfinished + len(piece)
            if self._unfinished > LONGEST_REQUEST:
                self.refuse(f"a request of more than {LONGEST_REQUEST} bytes")
                return
        self._work()

    # --- our side ------------------------------------------------------------------------------

    def send(self, *messages: Any) -> None:
        """Send what caproto has made, soon and in this order."""
        if self._transport.is_closing():
            return
        self._outgoing += self.protocol.send(*messages)
        self._outgoing_size += sum(map(len, messages))
        if self._outgoing_size > BATCH:
            self._flush()
        elif not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def refuse(self, why: object) -> None:
        """End the connection with a client that does not keep to the protocol."""
        log.warning("%s: connection ended: %s", self.peer, why)
        self._requests.clear()
        self._transport.abort()

    def take_no_more(self) -> None:
        """Ignore what the client asks for from now on; what is going on is still answered."""
        self._deaf = True
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

    def _work(self) -> None:
        """Answer requests for as long as the client takes the answers."""
        while self._requests and not self.stalled and not self._transport.is_closing():
            request = self._requests.popleft()
            if isinstance(request, ca.VersionRequest) and self.protocol.priority is not None:
                continue  # libca begins every search over TCP with one; caproto wants only one
            try:
                self.protocol.process_command(request)
            except NONSENSE as error:
                self.refuse(error)
                break
            try:
                self.answer(request)
            except ca.RemoteProtocolError as error:
                self.refuse(error)
        self._flush()

    def _flush(self) -> None:
        self._flush_due = False
        if self._outgoing and not self._transport.is_closing():
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._outgoing_size = 0
            self._transport.write(data)
