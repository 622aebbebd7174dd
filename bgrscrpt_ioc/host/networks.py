"""The networks of this host: addresses of its interfaces, and lists of addresses.

Each call asks the system once, takes a second at most, and sends nothing.
"""

from __future__ import annotations

import logging
import socket

from bgrscrpt_ioc.host.resolver import Resolver

EVERYWHERE = "0.0.0.0"  # noqa: S104 - compared with, not bound to
LOOPBACK, LOOPBACK_BROADCAST = "127.0.0.1", "127.255.255.255"

HIGHEST_PORT = 65_535

Address = tuple[str, int]

log = logging.getLogger("bgrscrpt_ioc.host.networks")


def broadcast_of(interface: str) -> str | None:
    """Return the address that reaches every host of the interface's network, or None.

    The loopback has one too. There libca sends a search for a server on the same host.
    """
    if interface == EVERYWHERE:
        return "255.255.255.255"
    if interface.startswith("127."):
        return LOOPBACK_BROADCAST
    import psutil  # imported here: it imports subprocess, 15 ms for commands that need no network

    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.address == interface:
                return address.broadcast
    return None


def broadcasts() -> list[str]:
    """Return the broadcast address of each network of this host, without the loopback's."""
    import psutil  # as above

    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    return [
        address.broadcast
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if name in up and address.family is socket.AF_INET and address.broadcast
        if not address.address.startswith("127.")
    ]


def listed(entries: str, port: int) -> list[Address]:
    """Return the addresses of an `EPICS_..._ADDR_LIST`; `port` is for entries that name none.

    An entry that is no address is left out and named in the log, as in EPICS base. So is a name
    that the name server does not answer within a second: no start waits longer.
    """
    entered = [(entry, *entry.partition(":")[::2]) for entry in entries.split()]
    addresses = Resolver().wait([host for _, host, _ in entered])
    found: list[Address] = []
    for entry, host, own_port in entered:
        try:
            number = int(own_port or port)
        except ValueError as error:
            log.warning("address list: %r is left out: %s", entry[:60], error)
            continue
        if not addresses[host]:
            log.warning("address list: %r is left out: no address of it is known", entry[:60])
        elif 0 <= number <= HIGHEST_PORT:
            found.append((addresses[host][0], number))
        else:
            log.warning("address list: %r is left out: %d is not a port", entry[:60], number)
    return found
