"""Socket options of POSIX and Linux, each under a plain name."""

from __future__ import annotations

import errno
import socket
from typing import Any

from bgrscrpt_ioc.host import plainsockets
from bgrscrpt_ioc.host.plainsockets import Address

# An address cannot be used because a server has it already.
TAKEN = frozenset({errno.EADDRINUSE})
# The system has no resources left to accept a connection.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
GONE = plainsockets.GONE


def listening_socket(address: Address, backlog: int) -> socket.socket:
    """Return a TCP socket that listens only at `address`; with port 0, at a free port.

    Raises:
        OSError: the address cannot be used; if errno is in TAKEN, another socket listens there.
    """
    # Connections that have ended lately do not keep the port. (On Windows the option would let two
    # servers listen at one port, so it must not be set there.)
    return plainsockets.listening(address, backlog, socket.SO_REUSEADDR)


def shared_datagram_socket(address: Address) -> socket.socket:
    """Return a UDP socket at `address` that shares it with the other servers of this host.

    A broadcast reaches all sockets of the address. A datagram to this host alone reaches one of
    them, which the kernel chooses.

    Raises:
        OSError: the address cannot be used; if errno is in TAKEN, another socket does not share it.
    """
    # Both, as in EPICS base: a server that sets only the first one still shares.
    options = (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
    return plainsockets.bound(datagram_socket(), address, options)


def datagram_socket() -> socket.socket:
    """Return a UDP socket without an address that may send to broadcast addresses."""
    return plainsockets.broadcasting()


def go_on(transport: Any) -> None:
    """Make a datagram transport go on after an error; on POSIX it does so by itself."""


def hears_only_its_address(interface: str) -> bool:
    """Return whether a socket bound to `interface` receives no broadcasts of its network.

    On POSIX such a socket receives none, and a second socket, bound to the broadcast address,
    receives them. (On Windows one socket receives both, and the second one cannot be bound.)
    """
    return interface != "0.0.0.0"  # noqa: S104 - compared with, not bound to


def watch_peer(connection: socket.socket, silence: float, asking: float, vanished: float) -> None:
    """Let the system end a connection whose peer has vanished without a word.

    Args:
        connection: a TCP socket.
        silence: seconds without a byte until the peer is asked.
        asking: seconds between two questions.
        vanished: seconds until a peer is given up that answers nothing, or takes nothing.
    """
    for option in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, round(silence)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, round(asking)),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(vanished * 1000)),
    ):
        connection.setsockopt(*option)
