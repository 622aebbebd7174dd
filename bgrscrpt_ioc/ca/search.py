"""What the Channel Access server says by datagrams: where its records are, and that it lives.

One socket for each address that clients may call; nothing is known of connections.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import caproto as ca
import psutil

from bgrscrpt_ioc.ca.links import Complaints

log = logging.getLogger("bgrscrpt_ioc.ca.search")

EVERYWHERE = "0.0.0.0"  # noqa: S104 - compared with, not bound to
FIRST_BEACON = 0.02  # s to the second one; doubled from there, as the protocol recommends
VERSION = ca.DEFAULT_PROTOCOL_VERSION
VERSION_MESSAGE = bytes(ca.VersionResponse(VERSION))
HEADER = struct.Struct(">HHHHII")  # command, bytes that follow, two and two more parameters
SEARCH = ca.SearchRequest.ID
FOUND_SIZE = 8  # bytes that follow an answer's header
# What one may hear on the port: versions, searches, their failures, beacons, repeaters, echoes.
BY_DATAGRAM = {0, SEARCH, 13, 14, 17, 23, 24}
LONGEST_QUEUE = 1 << 16  # bytes of answers that wait to be sent

Address = tuple[str, int]


def broadcast_of(interface: str) -> str | None:
    """The address that reaches every host of the interface's network; None where there is none.

    Of the loopback too, where libca sends a search for a server on the same host.
    """
    if interface == EVERYWHERE:
        return "255.255.255.255"
    if interface.startswith("127."):
        return "127.255.255.255"
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.address == interface:
                return address.broadcast
    return None


def udp_socket(address: Address | None = None) -> socket.socket:
    """A datagram socket that shares its address with other servers on this host.

    Raises:
        OSError: the address is not to be had.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if address is not None:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            udp.bind(address)
    except OSError:
        udp.close()
        raise
    return udp


class NotChannelAccessError(ValueError):
    """A datagram is not what clients of Channel Access send."""


def searched(data: bytes) -> Iterator[tuple[str, int]]:
    """The names that a datagram asks for, each with what the client calls it.

    (caproto makes an object of each, which takes ten times as long: a burst of searches would keep
    those waiting who have found us.)

    Raises:
        NotChannelAccessError: it is not Channel Access, or cut short.
    """
    at = 0
    while at < len(data):
        if len(data) - at < HEADER.size:
            raise NotChannelAccessError(f"{len(data) - at} bytes are no message")
        command, size, _, _, identity, _ = HEADER.unpack_from(data, at)
        name = data[at + HEADER.size : at + HEADER.size + size]
        if command not in BY_DATAGRAM or len(name) < size:
            raise NotChannelAccessError(f"command {command} with {size} bytes")
        if command == SEARCH:
            yield name.partition(b"\0")[0].decode("latin-1"), identity
        at += HEADER.size + size


class Searches(asyncio.DatagramProtocol):
    """One socket on which clients ask for records; answers those that `serves` knows."""

    def __init__(
        self,
        serves: Callable[[str], bool],
        port: int,
        ignored: Iterable[str],
        complaints: Complaints,
    ) -> None:
        self._serves, self._ignored, self._complaints = serves, frozenset(ignored), complaints
        # Port and "at the address that this comes from"; what the client called it; our version.
        self._answer = struct.Struct(f">HHHHIIH{FOUND_SIZE - 2}x")
        self._found = (SEARCH, FOUND_SIZE, port, 0, 0xFFFFFFFF)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """End."""
        self.closed.set_result(None)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer with what is served here, or not at all."""
        if addr[0] in self._ignored:
            return
        try:
            found = [identity for name, identity in searched(data) if self._serves(name)]
        except NotChannelAccessError as error:
            self._complaints.say(addr[0], error)
            return
        # Who does not get an answer asks again.
        if found and self._transport.get_write_buffer_size() < LONGEST_QUEUE:
            answers = (self._answer.pack(*self._found, each, VERSION) for each in found)
            self._transport.sendto(VERSION_MESSAGE + b"".join(answers), addr)

    def close(self) -> None:
        """Answer no more."""
        self._transport.close()

    def error_received(self, exc: Exception) -> None:
        """Take note of an ICMP error: some client did not wait for its answer."""
        log.debug("datagram: %s", exc)


class Beacons:
    """Tells clients that the server lives, so that they search again for what they miss."""

    def __init__(self, port: int, destinations: Mapping[Address, str], period: float) -> None:
        """Prepare beacons to each of `destinations`, with the address of ours that it maps to."""
        self._port, self._destinations, self._longest = port, destinations, period
        self._protocol = ca.Broadcaster(our_role=ca.SERVER)
        self._socket = udp_socket()
        self._count, self._period = 0, FIRST_BEACON
        self._unreached: set[Address] = set()
        self._timer: asyncio.TimerHandle | None = None

    def send(self) -> None:
        """Send one, and from now on others by themselves."""
        for destination, own in self._destinations.items():
            beacon = ca.Beacon(VERSION, self._port, self._count, own)
            try:
                self._socket.sendto(self._protocol.send(beacon), destination)
            except OSError as error:
                self._failed(destination, error)
            else:
                self._unreached.discard(destination)
        self._count += 1
        self._timer = asyncio.get_running_loop().call_later(self._period, self.send)
        self._period = min(2 * self._period, self._longest)

    def close(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._socket.close()

    def _failed(self, destination: Address, error: OSError) -> None:
        """Say so once; it may go on for weeks."""
        if destination not in self._unreached:
            self._unreached.add(destination)
            log.info("no beacons to %s:%d: %s", *destination, error)


def listed(entries: str, port: int) -> list[Address]:
    """The addresses of an `EPICS_..._ADDR_LIST`, `port` where they name none.

    What is no address is left out, and said in the log: as base does it.
    """
    found: list[Address] = []
    for entry in entries.split():
        host, _, own_port = entry.partition(":")
        try:
            found.append((socket.gethostbyname(host), int(own_port or port)))
        except (OSError, ValueError) as error:
            log.warning("address list: %r is left out: %s", entry, error)
    return found


def beacon_destinations(
    environ: Mapping[str, Any], interfaces: Iterable[str]
) -> dict[Address, str]:
    """Where beacons go, each with the address of ours that it announces.

    Args:
        environ: caproto's `get_environment_variables()`.
        interfaces: where the server listens.
    """
    port = environ["EPICS_CAS_BEACON_PORT"]
    interfaces = list(interfaces)
    found = dict.fromkeys(listed(environ["EPICS_CAS_BEACON_ADDR_LIST"], port), interfaces[0])
    if environ["EPICS_CAS_AUTO_BEACON_ADDR_LIST"].upper() != "NO":
        for interface in interfaces:
            broadcast = broadcast_of(interface)
            if broadcast is not None:
                found.setdefault((broadcast, port), interface)
    return found
