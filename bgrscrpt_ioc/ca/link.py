"""One connection of a client: bytes in, requests out; messages in, batches of bytes out.

caproto reads and writes the protocol, asyncio the socket. What is asked for is not known here.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

import caproto as ca

from bgrscrpt_ioc.ca.links import Links, printable

LONGEST_REQUEST = 1 << 14  # bytes, as base has it by default; nothing that we take is an array
PIECE = 1 << 12  # bytes that are read at once, and by caproto, which copies what is left
BATCH = 1 << 16  # bytes of answers that are put together before they are sent
LONGEST_QUEUE = 1 << 18  # bytes that the kernel keeps for a client that does not read
LINGER = 1.0  # s that a client gets to take what was sent, when the server closes

# A client that has a lot done is made to wait, and nobody for it: what is done for it in one turn
# of the event loop is measured in bytes of answers.
TURN = 1 << 17  # about 2 ms
CHEAPEST = 1 << 7  # what an answer costs as much as that need only be sent
SMALLEST = 1 << 11  # what any request or answer costs as much as, however short

# Clients that vanish without a word. (base asks the kernel too, but leaves it at its two hours.)
SILENCE = 60  # s until one is asked whether it still is there
ASKING = 10  # s between questions
VANISHED = 120  # s until one that answers nothing, or takes nothing, is given up

# What caproto raises, of its own and not, on bytes and requests that break the protocol.
NONSENSE = (ca.CaprotoError, ValueError, TypeError, KeyError, IndexError)
# ... and on answers to requests that have confused its books of this client.
CONFUSED = (ca.LocalProtocolError, KeyError)
GONE = {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH}


class Link(asyncio.BufferedProtocol):
    """The connection to one client, from its first byte to its last.

    A client that does not take what is sent is `stalled`, one that has had its share of this turn
    is `busy`: requests wait, in its own socket where they are many, and who would tell it
    something keeps that for `caught_up`.
    """

    def __init__(self, links: Links, address: tuple[str, int]) -> None:
        """Be one of `links`, which it is given to, as long as the connection lasts."""
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._incoming = bytearray(PIECE)
        self._requests: deque[Any] = deque()
        self._outgoing: list[Any] = []
        self._outgoing_size = 0
        self._spent = 0  # of this turn
        self._turn_due = False
        self._deaf = self._refused = False
        self.stalled = False
        self.peer = address[0]
        self.heard = self._loop.time()
        self.protocol = ca.VirtualCircuit(ca.SERVER, address, None)
        self.closed: asyncio.Future[None] = self._loop.create_future()

    # --- what a subclass makes of it -----------------------------------------------------------

    def dismisses(self, request: Any) -> bool:  # noqa: ARG002 - a subclass looks at it
        """Answer a request that caproto shall not see; whether it was one."""
        return False

    def answered_at_once(self, data: memoryview) -> int:  # noqa: ARG002 - a subclass looks at it
        """Answer what needs no look by caproto at the start of `data`; how many bytes it was."""
        return 0

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

    @property
    def at_work(self) -> bool:
        """Whether the client would be missed."""
        return False

    # --- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        if self._refused:
            transport.abort()
            return
        self.protocol.our_address = transport.get_extra_info("sockname")
        for level, option, value in (
            (socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_QUEUE),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASKING),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED * 1000),
        ):
            transport.get_extra_info("socket").setsockopt(level, option, value)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if isinstance(exc, OSError) and exc.errno in GONE:
            self._links.complaints.say(self.peer, f"connection ended: {exc.strerror}")
        self._links.discard(self)
        self._requests.clear()
        self._outgoing.clear()
        self.ended()
        self.closed.set_result(None)

    def pause_writing(self) -> None:
        """The client is slow."""
        self.stalled = True
        self._listen()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.stalled = False
        self._go_on()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's name
        """Where the next bytes go. They are few, so that each client has its turn."""
        return self._incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Take requests."""
        self.heard = self._loop.time()
        data = memoryview(self._incoming)[:nbytes]
        if not self._requests and not self.protocol._data and not self.busy:  # nothing goes before
            data = data[self.answered_at_once(data) :]
            if not data:
                self._flush()
                return
        try:
            requests, missing = self.protocol.recv(data)
        except NONSENSE as error:
            self.refuse(error)
            return
        if missing > LONGEST_REQUEST:
            self.refuse(f"a request of more than {LONGEST_REQUEST} bytes")
            return
        self._requests += requests
        self._work()

    # --- our side ------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether it is set up, and not ending."""
        return self._transport is not None and not self.ending

    @property
    def ending(self) -> bool:
        """Whether it has been ended."""
        return self._refused or (self._transport is not None and self._transport.is_closing())

    @property
    def busy(self) -> bool:
        """Whether nothing more is to be done for the client now."""
        return self.stalled or self._spent > TURN

    def send(self, *messages: Any) -> None:
        """Send what caproto has made, soon and in this order."""
        if not self.connected:
            return
        for message in messages:
            try:
                buffers = self.protocol.send(message)
            except CONFUSED as error:
                self.refuse(error)
                break
            self._put(buffers, len(message))

    def send_unchecked(self, message: ca.Message) -> None:
        """Send what caproto shall not see."""
        self._put([bytes(message)], len(message))

    def send_bytes(self, data: bytes) -> bool:
        """Send what was made before; whether the client may have more of it now."""
        self._outgoing.append(data)
        self._outgoing_size += len(data)
        self._spend(max(len(data), CHEAPEST))
        return not self.busy

    def refuse(self, why: object) -> None:
        """End the connection with a client that does not keep to the protocol, or to the limits."""
        self._requests.clear()
        if self.ending:
            return
        self._refused = True
        self._links.complaints.say(self.peer, f"connection ended: {printable(why)}")
        if self._transport is not None:
            self._transport.abort()

    def take_no_more(self) -> None:
        """Ignore what the client asks for from now on; what is going on is still answered."""
        self._deaf = True
        self._requests.clear()
        self._listen()

    async def close(self) -> None:
        """End the connection, with what is still to be sent if the client takes it."""
        if self._transport is None:
            return
        self._flush()
        self._transport.close()
        try:
            async with asyncio.timeout(LINGER):
                await asyncio.shield(self.closed)
        except TimeoutError:
            self._transport.abort()
            await self.closed

    def _work(self) -> None:
        """Answer requests for as long as the client takes the answers, and the turn lasts."""
        while self._requests and self.connected and not self.busy:
            request = self._requests.popleft()
            self._spend(SMALLEST)
            if isinstance(request, ca.VersionRequest) and self.protocol.priority is not None:
                continue  # libca begins every search over TCP with one; caproto wants only one
            try:
                if self.dismisses(request):
                    continue
                self.protocol.process_command(request)
            except NONSENSE as error:
                self.refuse(error)
                break
            try:
                self.answer(request)
            except ca.RemoteProtocolError as error:
                self.refuse(error)
        self._flush()
        self._listen()

    def _listen(self) -> None:
        """Read on where there is nothing left to do before."""
        if self._transport is not None:
            if self._requests or self.stalled or self._deaf:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _spend(self, cost: int) -> None:
        self._spent += cost
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._turn_due = False
        self._spent = 0
        self._flush()
        self._go_on()

    def _go_on(self) -> None:
        if self._requests:
            self._work()
        else:
            self._listen()
        if self.connected and not self.busy:
            self.caught_up()

    def _put(self, buffers: Sequence[Any], size: int) -> None:
        self._outgoing += buffers
        self._outgoing_size += size
        self._spend(max(size, SMALLEST))
        if self._outgoing_size > BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._outgoing and self._transport is not None and self.connected:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._outgoing_size = 0
            self._transport.write(data)
