"""A Channel Access client that does what libca never would: not read, lie, break the protocol."""

from __future__ import annotations

import socket
from typing import Any, Self, TypeVar

import caproto as ca

from benchmarks.rig.ca import DEADLINE

Response = TypeVar("Response")


class RawClient:
    """caproto's protocol on a bare socket."""

    def __init__(self, port: int, *, buffer: int = 0, user: str = "raw", host: str = "raw") -> None:
        """Connect; `buffer`, bytes, is what the socket takes unread."""
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self.circuit = ca.VirtualCircuit(ca.CLIENT, ("127.0.0.1", port), 0)
        self.channels: dict[str, ca.ClientChannel] = {}
        self._received: list[Any] = []
        self.send(ca.VersionRequest(0, 13), ca.HostNameRequest(host), ca.ClientNameRequest(user))
        self.receive(ca.VersionResponse)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *messages: Any) -> None:
        """Send what keeps to the protocol."""
        self.socket.sendall(b"".join(map(bytes, self.circuit.send(*messages))))

    def receive(self, kind: type[Response]) -> Response:
        """Read until such a message has come; ConnectionError if the server ends the connection."""
        while True:
            for message in self._received:
                if isinstance(message, kind):
                    self._received.remove(message)
                    return message
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the server has ended the connection")
            messages, _ = self.circuit.recv(data)
            for message in messages:
                self.circuit.process_command(message)
                self._received.append(message)

    def open(self, pv: str) -> ca.ClientChannel:
        """Make a channel, as one that is connected."""
        channel = self.channels[pv] = ca.ClientChannel(pv, self.circuit)
        self.send(channel.create())
        self.receive(ca.CreateChanResponse)
        return channel

    def ended(self) -> bool:
        """Read all that comes; whether that ends with the end of the connection."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True
