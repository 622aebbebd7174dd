"""Sets the socket options of Windows, each by a function with a plain name."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
from typing import Any

from bgrscrpt_ioc.host import plainsockets
from bgrscrpt_ioc.host.plainsockets import Address

# Errors that mean: another server has the address. If that server has the address for itself alone,
# Windows says that access is denied.
TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})
# Errors that mean: the system has no means left to accept a connection.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENOBUFS, errno.ENOMEM})
GONE = plainsockets.GONE

SIO_UDP_CONNRESET, SIO_UDP_NETRESET = 0x9800000C, 0x9800000F
TCP_MAXRT = 5  # option: s after which unacknowledged data ends the connection


def listening_socket(address: Address, backlog: int) -> socket.socket:
    """Return a TCP socket that listens at `address` alone; port 0 means a free port.

    Raises:
        OSError: the address cannot be used; errno in TAKEN: another socket listens there.
    """
    # No other socket may listen there, even with SO_REUSEADDR, which some servers set. We must not
    # set SO_REUSEADDR on Windows: it would let two servers listen at one port.
    return plainsockets.listening(address, backlog, socket.SO_EXCLUSIVEADDRUSE)


def shared_datagram_socket(address: Address) -> socket.socket:
    """Return a UDP socket at `address` that shares it with the other servers of this host.

    Raises:
        OSError: the address cannot be used; errno in TAKEN: another socket does not share it.
    """
    return plainsockets.bound(datagram_socket(), address, (socket.SO_REUSEADDR,))


def datagram_socket() -> socket.socket:
    """Return a UDP socket without an address, which may send to a broadcast address.

    The socket ignores ICMP errors: otherwise a read would fail because an earlier answer reached
    nobody.
    """
    udp = plainsockets.broadcasting()
    library = ctypes.WinDLL("ws2_32")
    off, size = ctypes.c_uint(0), ctypes.c_uint(0)
    for code in (SIO_UDP_CONNRESET, SIO_UDP_NETRESET):  # if this fails, `go_on` helps
        library.WSAIoctl(
            ctypes.c_size_t(udp.fileno()), code, ctypes.byref(off), 4, None, 0,
            ctypes.byref(size), None, None,
        )  # fmt: skip
    return udp


def go_on(transport: Any) -> None:
    """Make a datagram transport go on after an error that it has reported to its protocol.

    asyncio's proactor loop begins no further read after an error, and sends nothing of what waits
    (proactor_events.py, _ProactorDatagramTransport, up to CPython 3.14 at least).
    """
    import asyncio  # not at the top: commands that serve nothing need no asyncio

    with contextlib.suppress(RuntimeError):  # the loop is closed
        asyncio.get_running_loop().call_soon(_go_on, transport)


def _go_on(transport: Any) -> None:
    if transport.is_closing():
        return
    if transport._read_fut is None:
        transport._loop_reading()
    if transport._write_fut is None and transport._buffer:
        transport._loop_writing()


def hears_only_its_address(interface: str) -> bool:  # noqa: ARG001 - the contract's
    """Return False: a socket bound to an interface's address also receives broadcasts there."""
    return False


def watch_peer(connection: socket.socket, silence: float, asking: float, vanished: float) -> None:
    """Make the system end a connection whose peer has vanished without closing it.

    Args:
        connection: TCP connection.
        silence: seconds without data before the first probe.
        asking: seconds between two probes; after ten without an answer the connection ends.
        vanished: seconds after which unacknowledged data ends the connection.
    """
    for option in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, round(silence)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, round(asking)),
        (socket.IPPROTO_TCP, TCP_MAXRT, round(vanished)),
    ):
        with contextlib.suppress(OSError):  # Windows before 10 1709, and Wine, lack some options
            connection.setsockopt(*option)
