"""A Channel Access client of the barest kind: what it measures is the server, not the client."""

from __future__ import annotations

import socket
import struct
from typing import Self

HEADER = struct.Struct(">HHHHII")
VERSION, EVENT_ADD, READ_NOTIFY, CREATE, NAME, WRITE_NOTIFY, HOST, RIGHTS = (
    0,
    1,
    15,
    18,
    20,
    19,
    21,
    22,
)
STRING, INT, FLOAT, ENUM, CHAR, LONG, DOUBLE = range(7)
TIME = 14  # added to a native type
MASK = struct.Struct(">fffHH")


class Raw:
    """One connection. Requests are bytes, answers are counted."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        self.socket.sendall(
            HEADER.pack(VERSION, 0, 0, 13, 0, 0) + text(NAME, "bench") + text(HOST, "h")
        )
        self._cid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def create(self, *names: str) -> list[int]:
        """Open channels; their sids."""
        request = b""
        for cid, name in enumerate(names, self._cid):
            payload = padded(name.encode() + b"\0")
            request += HEADER.pack(CREATE, len(payload), 0, 0, cid, 13) + payload
        self.socket.sendall(request)
        sids = dict[int, int]()
        while len(sids) < len(names):
            command, _, _, _, cid, sid, _ = self.message()
            if command == CREATE:
                sids[cid] = sid
        first, self._cid = self._cid, self._cid + len(names)
        return [sids[cid] for cid in range(first, self._cid)]

    def message(self) -> tuple[int, int, int, int, int, int, bytes]:
        """Wait for the next message: its header and payload."""
        while True:
            if len(self._unread) >= HEADER.size:
                command, size, kind, count, one, two = HEADER.unpack_from(self._unread)
                head = HEADER.size
                if size == 0xFFFF:
                    size, count = struct.unpack_from(">II", self._unread, head)
                    head += 8
                if len(self._unread) >= head + size:
                    payload = self._unread[head : head + size]
                    self._unread = self._unread[head + size :]
                    return command, size, kind, count, one, two, payload
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionError("the server has ended the connection")
            self._unread += data

    def count(self, command: int, number: int) -> None:
        """Wait for so many messages of this kind."""
        while number:
            number -= self.message()[0] == command

    def get(self, sid: int, kind: int, count: int = 1, ioid: int = 7) -> bytes:
        """The bytes of a read with its answer to come."""
        return HEADER.pack(READ_NOTIFY, 0, kind, count, sid, ioid)

    def put(self, sid: int, value: int, ioid: int) -> bytes:
        """The bytes of a put with callback of a DBR_ENUM."""
        return HEADER.pack(WRITE_NOTIFY, 8, ENUM, 1, sid, ioid) + struct.pack(">H6x", value)

    def subscribe(self, sid: int, kind: int) -> None:
        """Open a monitor."""
        self.socket.sendall(HEADER.pack(EVENT_ADD, 16, kind, 1, sid, 1) + MASK.pack(0, 0, 0, 5, 0))


def text(command: int, value: str) -> bytes:
    payload = padded(value.encode() + b"\0")
    return HEADER.pack(command, len(payload), 0, 0, 0, 0) + payload


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 8)
