"""Socket options of Windows, each under a plain name."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
from typing import Any

from bgrscrpt_ioc.host import plainsockets
from bgrscrpt_ioc.host.plainsockets import Address

# Why an address is not to be had: a server has it already. Of one that has it for itself alone,
# Windows says that access is denied.
TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})
# The system has nothing left to accept a connection with.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENOBUFS, errno.ENOMEM})
GONE = plainsockets.GONE

SIO_UDP_CONNRESET, SIO_UDP_NETRESET = 0x9800000C, 0x9800000F
TCP_MAXRT = 5  # s until what was sent and not acknowledged ends the connection


def listening_socket(address: Address, backlog: int) -> socket.socket:
    """Return a TCP socket that listens at `address` alone; port 0: at a free one.

    Raises:
        OSError: the address is not to be had; errno in TAKEN: another socket listens there.
    """
    # Nobody else may listen there, also not who sets SO_REUSEADDR, as some servers do. We must not
    # set that here: it would let two servers listen at one port.
    return plainsockets.listening(address, backlog, socket.SO_EXCLUSIVEADDRUSE)


def shared_datagram_socket(address: Address) -> socket.socket:
    """Return a UDP socket at `address` that shares it with the other servers of this host.

    Raises:
        OSError: the address is not to be had; errno in TAKEN: somebody does not share it.
    """
    return plainsockets.bound(datagram_socket(), address, (socket.SO_REUSEADDR,))


def datagram_socket() -> socket.socket:
    """Return a UDP socket without an address, which may send to a broadcast address.

    It does not hear of ICMP errors: a read would fail because an earlier answer reached nobody.
    """
    udp = plainsockets.broadcasting()
    library = ctypes.WinDLL("ws2_32")
    off, size = ctypes.c_uint(0), ctypes.c_uint(0)
    for code in (SIO_UDP_CONNRESET, SIO_UDP_NETRESET):  # where it fails, `read_on` does its part
        library.WSAIoctl(
            ctypes.c_size_t(udp.fileno()), code, ctypes.byref(off), 4, None, 0,
            ctypes.byref(size), None, None,
        )  # fmt: skip
    return udp


def read_on(transport: Any) -> None:
    """Have a datagram transport read on after an error, which it has just told its protocol.

    asyncio's proactor loop begins no further read then (proactor_events.py,
    _ProactorDatagramTransport._loop_reading, up to CPython 3.14 at least).
    """
    import asyncio  # not at the top: commands that serve nothing do without it

    with contextlib.suppress(RuntimeError):  # the loop is closed
        asyncio.get_running_loop().call_soon(_read_again, transport)


def _read_again(transport: Any) -> None:
    if not transport.is_closing() and transport._read_fut is None:
        transport._loop_reading()


def hears_only_its_address(interface: str) -> bool:  # noqa: ARG001 - the contract's
    """Return False: a socket at one interface's address hears what is broadcast there, too."""
    return False


def watch_peer(connection: socket.socket, silence: float, asking: float, vanished: float) -> None:
    """Have the system end a connection whose peer has vanished without a word.

    Args:
        connection: of TCP.
        silence: s without a byte until the peer is asked.
        asking: s between two questions.
        vanished: s until a peer is given up that takes nothing. One that answers nothing is asked
            ten times.
    """
    for option in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, round(silence)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, round(asking)),
        (socket.IPPROTO_TCP, TCP_MAXRT, round(vanished)),
    ):
        with contextlib.suppress(OSError):  # Windows before 10 1709, and Wine, lack some of them
            connection.setsockopt(*option)
