"""Stands between clients and a Channel Access server, and keeps what the clients send.

Clients find the server by the tee's own port, for searches and for connections. The tee can also
hang up on all of them, as a cable that is pulled does.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Self

from benchmarks.rig.ca import free_port

HEADER = struct.Struct(">HHHHII")
SEARCH = 6
PIECE = 1 << 16


@dataclass
class Recording:
    """What clients have sent, as it came: of each connection, and by datagrams."""

    connections: list[list[bytes]] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)


class Tee:
    """Passes everything on, in a thread of its own, until its `with` block ends."""

    def __init__(self, server_port: int) -> None:
        """Stand before the server at this port of the loopback."""
        self.port, self._server = free_port(), ("127.0.0.1", server_port)
        self.recording = Recording()
        self._waiting = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._wake, self._woken = socket.socketpair()
        self._orders: list[bytes] = []
        self._thread = threading.Thread(target=self._run, name="tee")
        self._tcp = socket.create_server(("127.0.0.1", self.port), backlog=500)
        self._udp = socket.socket(type=socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._asking: dict[socket.socket, tuple[str, int]] = {}  # who waits for an answer by it

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.send(b"e")
        self._thread.join()

    def hang_up(self) -> None:
        """End all connections."""
        self._wake.send(b"h")

    # --- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        with ExitStack() as stack:
            for each in (self._wake, self._woken, self._tcp, self._udp):
                stack.enter_context(each)
            stack.enter_context(self._waiting)
            for each in (self._woken, self._tcp, self._udp):
                self._waiting.register(each, selectors.EVENT_READ)
            while self._turn():
                pass
            while self._waiting.select(0):  # of clients that have ended
                self._turn()
            self._end_all()
            for each in self._asking:
                each.close()

    def _turn(self) -> bool:
        for key, _ in self._waiting.select():
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            if ready is self._woken:
                if self._woken.recv(1) == b"e":
                    return False
                self._end_all()
                break  # what else is ready may have been ended
            if ready is self._tcp:
                self._connect()
            elif ready is self._udp:
                self._ask()
            elif ready in self._asking:
                self._answer(ready)
            elif ready in self._pairs:
                self._pass_on(ready, key.data)
        return True

    def _connect(self) -> None:
        client, _ = self._tcp.accept()
        try:
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kept: list[bytes] = []
        self.recording.connections.append(kept)
        self._pairs |= {client: server, server: client}
        self._waiting.register(client, selectors.EVENT_READ, kept)
        self._waiting.register(server, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket, kept: list[bytes] | None) -> None:
        data = b""
        with suppress(ConnectionError):
            data = source.recv(PIECE)
        if data and kept is not None:
            kept.append(data)
        try:
            if not data:
                raise ConnectionError("the end")  # noqa: TRY301 - the other end goes the same way
            self._pairs[source].sendall(data)
        except ConnectionError:
            self._end(source)

    def _end(self, one: socket.socket) -> None:
        for each in (one, self._pairs[one]):
            self._waiting.unregister(each)
            del self._pairs[each]
            each.close()

    def _end_all(self) -> None:
        while self._pairs:
            self._end(next(iter(self._pairs)))

    def _ask(self) -> None:
        """Pass a search on by a socket of its own, so that its answer finds the way back."""
        data, client = self._udp.recvfrom(PIECE)
        self.recording.datagrams.append(data)
        known = next((each for each, who in self._asking.items() if who == client), None)
        if known is None:
            known = socket.socket(type=socket.SOCK_DGRAM)
            self._asking[known] = client
            self._waiting.register(known, selectors.EVENT_READ)
        known.sendto(data, self._server)

    def _answer(self, asking: socket.socket) -> None:
        try:
            data = bytearray(asking.recv(PIECE))
        except ConnectionError:  # the server has gone
            return
        at = 0
        while at + HEADER.size <= len(data):
            command, size, *_ = HEADER.unpack_from(data, at)
            if command == SEARCH:  # which names the port to connect to
                struct.pack_into(">H", data, at + 4, self.port)
            at += HEADER.size + size
        self._udp.sendto(data, self._asking[asking])
