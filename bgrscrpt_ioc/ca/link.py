"""One connection of a client: bytes in, batches of bytes out, no faster than the client takes them.

asyncio has the socket. This file does not know what the bytes mean.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

from bgrscrpt_ioc.access.complaints import fault, printable
from bgrscrpt_ioc.ca.links import Links
from bgrscrpt_ioc.ca.reader import Nobody, Reader
from bgrscrpt_ioc.ca.turns import TURN, Spending
from bgrscrpt_ioc.host.system import GONE, watch_peer

PIECE = 1 << 12  # bytes that are read at once, by caproto too, which copies what is left
BATCH = 1 << 16  # bytes of answers that are collected before they are sent
LONGEST_QUEUE = 1 << 18  # bytes that the kernel keeps for a client that does not read
LINGER = 1.0  # s that a client has to take what was sent, when the server closes

# What is done for a client is measured in bytes of answers: see turns.py.
CHEAPEST = 1 << 7  # the cost of an answer that is only sent
SMALLEST = 1 << 10  # the least cost of any other request or answer
AT_ONCE = 1 << 11  # what a client with little to do gets without a turn, each time it has sent

_NOBODY = Nobody()
_incoming = bytearray(PIECE)  # of all links: bytes are taken before another connection is read


class Link(asyncio.BufferedProtocol):
    """The connection to one client, from its first byte to its last.

    A client that does not take what is sent is `stalled`. One that asks for a lot is busy when the
    turn of all such clients is over: news for it is kept until `Reader.go_on`. Requests wait for
    the client's turn, in its own socket if they are many; `turn_due` says that it has asked.
    Requests and news also wait while there is work `in_pieces`.
    """

    def __init__(
        self, links: Links, address: tuple[str, int], reader: Callable[[Link], Reader]
    ) -> None:
        """Add the connection to `links`; `reader(link)` reads and answers."""
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        self._spending = Spending()
        self._at_once = 0  # bytes that it may still get without a turn
        self._has_turn = self._sending = False
        self._pieces: Iterator[int] | None = None  # the rest of a long work
        self.turn_due = False
        self._deaf = self._refused = self._is_over = False
        self.stalled = False
        self.address = address
        self.peer = address[0]
        self.own_address = ""  # our address of this connection
        self.heard = self._loop.time()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._reader: Reader = reader(self)

    # --- asyncio's side ------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        if self._refused:
            transport.abort()
            return
        self.own_address = transport.get_extra_info("sockname")[0]
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_QUEUE)
        patience = self._links.limits.patience
        watch_peer(connection, patience.silence, patience.asking, patience.vanished)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if isinstance(exc, OSError) and exc.errno in GONE:
            self._links.complaints.say(self.peer, f"connection ended: {exc.strerror}")
        self._links.discard(self)
        self._outgoing.clear()
        self._pieces = None
        self._reader.ended()
        # Otherwise a circle keeps all this in memory until a full collection.
        self._reader = _NOBODY
        if not self.closed.done():  # asyncio may call twice
            self.closed.set_result(None)

    def eof_received(self) -> bool:
        """Return whether the connection stays until what the client has sent is answered."""
        self._is_over = True
        return self._waits

    def pause_writing(self) -> None:
        """Note that the client is slow."""
        self.stalled = True
        self._listen()

    def resume_writing(self) -> None:
        """Note that the client has caught up.

        What waits is answered later, not in this call: if that ended the connection, asyncio's
        transport would end it a second time and raise.
        """
        self.stalled = False
        self.ask()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's name
        """Return where the next bytes go. They are few, so that each client has its turn."""
        return _incoming

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that have come."""
        self.heard = self._loop.time()
        self._at_once = 0 if self._spending.much else AT_ONCE
        waits = self.turn_due
        self.guarded(lambda: self._reader.take(memoryview(_incoming)[:nbytes]))
        self._flush()
        if waits:  # otherwise its turn may come before more bytes do
            self._listen()

    # --- our side ------------------------------------------------------------------------------

    @property
    def at_work(self) -> bool:
        """Return whether closing the connection would disturb the client."""
        return self._reader.at_work

    @property
    def connected(self) -> bool:
        """Return whether the connection is set up and not ending."""
        return self._transport is not None and not self.ending

    @property
    def ending(self) -> bool:
        """Return whether the connection has been ended."""
        return self._refused or (self._transport is not None and self._transport.is_closing())

    def busy_for(self, size: int) -> bool:
        """Return whether news of `size` bytes must be kept until the client's turn."""
        if self.stalled or self._pieces is not None:
            return True
        if self._links.turns.over and (size > TURN or self._spending.much):
            self.ask()
            return True
        return False

    @property
    def may_work(self) -> bool:
        """Return whether one more request may be answered now, or must wait for a turn."""
        if self.stalled or self._pieces is not None:
            return False
        if not self._has_turn:
            return self._at_once > 0
        if self._links.turns.over:
            self.ask()
            return False
        return True

    def put(self, data: bytes) -> None:
        """Send bytes soon, in this order."""
        if not self.connected:
            return
        self._outgoing.append(data)
        self._outgoing_size += len(data)
        self.spend(max(len(data), SMALLEST))
        if self._outgoing_size > BATCH:
            self._flush()
        elif not self._has_turn and not self._sending:
            self._sending = True
            self._loop.call_soon(self._send)

    def put_made(self, data: bytes) -> bool:
        """Send bytes that were made before; return whether the client may have more of them now."""
        size = len(data)
        self._outgoing.append(data)
        self._outgoing_size += size
        cost = size if size > CHEAPEST else CHEAPEST  # noqa: FURB136 - max takes longer
        if self._has_turn:
            self.spend(cost)
        else:
            self._at_once -= cost
        return self.may_work

    def spend(self, cost: int) -> None:
        """Count what is done for the client, in bytes of answers."""
        self._spending.spend(cost)
        if self._has_turn or cost > TURN or self._spending.much:
            self._links.turns.spent += cost

    def ask(self) -> None:
        """Ask for a turn, in which what waits is answered."""
        if not self.turn_due:
            self.turn_due = True
            self._links.turns.wait(self, much=self._spending.much)

    def in_pieces(self, work: Iterator[int]) -> None:
        """Do long work for the client in its turns.

        It is done piece by piece; each gives its cost, in bytes of answers.
        """
        self._pieces = work
        self.ask()

    def complain(self, what: object) -> None:
        """Say in the log what the client does."""
        self._links.complaints.say(self.peer, what)

    def refuse(self, why: object) -> None:
        """End the connection of a client that breaks the protocol or exceeds a limit."""
        self._reader.forget()
        if self.ending:
            return
        self._flush()
        self._refused = True
        self._pieces = None
        self.complain(f"connection ended: {printable(why)}")
        if self._transport is not None:
            self._transport.abort()

    def guarded(self, call: Callable[[], object]) -> None:
        """Call something for the client.

        A fault of the IOC in it is logged, and ends this connection.
        """
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, other clients go on
            self.refuse(fault(error))

    def take_no_more(self) -> None:
        """Ignore new requests from now on. Requests in progress are still answered."""
        self._deaf = True
        self._reader.forget()
        self._listen()

    async def close(self) -> None:
        """End the connection. What is still to be sent is sent, if the client takes it."""
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

    def _listen(self) -> None:
        """Go on reading, if nothing waits to be done first."""
        if self._transport is not None:
            if self.stalled or self._deaf or self._waits:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def begin_turn(self) -> None:
        """Answer what waits, while this turn lasts."""
        self.turn_due, self._has_turn = False, True
        self.guarded(self._go_on)
        self._has_turn = False
        self._send()
        if self._is_over and not self._waits and self._transport is not None:
            self._transport.close()
        self._listen()

    @property
    def _waits(self) -> bool:
        """Return whether something waits for the client's turn."""
        return self._pieces is not None or self._reader.waiting

    def _go_on(self) -> None:
        while self._pieces is not None and not self.stalled and self.connected:
            if self._links.turns.over:
                self.ask()
                return
            cost = next(self._pieces, None)
            if cost is None:
                self._pieces = None
            else:
                self.spend(cost)
        self._reader.go_on()

    def _send(self) -> None:
        self._sending = False
        if not self.turn_due:
            self._spending.nothing_waits()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing and self._transport is not None and self.connected:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._outgoing_size = 0
            self._transport.write(data)
