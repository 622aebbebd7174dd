"""Make sockets with the options that the operating system's own module gives.

No protocol is known here. docs/how-to says what clients on a network notice of these options.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

Address = tuple[str, int]

# The peer of a connection cannot be reached any more.
GONE = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})


def listening(address: Address, backlog: int, option: int) -> socket.socket:
    """Return a TCP socket that listens only at `address`; with port 0, at a free port.

    Args:
        address: of an interface of this host.
        backlog: connections that may wait to be accepted.
        option: the socket option that says with whom the port is shared.

    Raises:
        OSError: the address cannot be used.
    """
    # With the protocol, which accepted sockets inherit: without it asyncio does not set
    # TCP_NODELAY.
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        tcp.setblocking(False)
        tcp.setsockopt(socket.SOL_SOCKET, option, 1)
        tcp.bind(address)
        tcp.listen(backlog)
    except OSError:
        tcp.close()
        raise
    return tcp


def broadcasting() -> socket.socket:
    """Return a UDP socket without an address that may send to broadcast addresses."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    return udp


def bound(udp: socket.socket, address: Address, options: Iterable[int]) -> socket.socket:
    """Bind a UDP socket to an address, after setting `options`; return the socket.

    Raises:
        OSError: the address cannot be used; the socket is closed.
    """
    try:
        for option in options:
            udp.setsockopt(socket.SOL_SOCKET, option, 1)
        udp.bind(address)
    except OSError:
        udp.close()
        raise
    return udp
