"""Chooses the TCP port of a server: the wished one, or one that is free on all interfaces.

EPICS base does the same. A host has many servers, and clients know only the UDP port, which the
servers share.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from bgrscrpt_ioc.host.system import TAKEN, listening_socket

# Clients that wait to be accepted; a client without a place tries again a second later.
BACKLOG = 1024
TRIES = 20  # free ports of the first interface that may be in use on another one


class PortInUseError(OSError):
    """Another program has the port, and does not share it."""


def listening_sockets(addresses: Sequence[str], wished: int) -> list[socket.socket]:
    """Return a listening TCP socket for each address, all at one port: `wished`, or a free one.

    Raises:
        PortInUseError: no port was found that is free on all addresses.
        OSError: an address is not one of this host, or this user may not use the port.
    """
    for port in (wished, *[0] * TRIES):
        found: list[socket.socket] = []
        address = addresses[0]
        try:
            for address in addresses:
                found.append(listening_socket((address, port), BACKLOG))
                port = found[0].getsockname()[1]  # noqa: PLW2901 - of a free port, the same for all
        except OSError as error:
            for each in found:
                each.close()
            if error.errno not in TAKEN:
                raise explained(error, address, port) from error
        else:
            return found
    raise PortInUseError(
        f"no TCP port is free on all of {', '.join(addresses)}: give fewer interfaces"
    )


def explained(error: OSError, address: str, port: int) -> OSError:
    """Return what to raise for an address that cannot be used."""
    if error.errno in TAKEN:
        return PortInUseError(
            f"UDP port {port} of {address} is in use by a program that does not share it, so no"
            " client would find this IOC: end that program, or choose another port for this IOC"
            " and its clients (EPICS_CAS_SERVER_PORT, EPICS_CA_SERVER_PORT)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        why = "is it this host's?"
    else:
        why = "choose another port or interface"
    return OSError(error.errno, f"cannot serve on {address}:{port}: {error.strerror}; {why}")
