"""The datagrams of the Channel Access server: answers to searches, and beacons.

There is one socket for each address on which clients search. It knows no connections.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import caproto as ca

from bgrscrpt_ioc.access.complaints import Complaints, fault
from bgrscrpt_ioc.config.epicsvars import EpicsVariables
from bgrscrpt_ioc.host.networks import EVERYWHERE, Address, broadcast_of, broadcasts, listed
from bgrscrpt_ioc.host.system import datagram_socket, go_on

log = logging.getLogger("bgrscrpt_ioc.ca.search")

# Seconds between the first two beacons, doubled each time, as the protocol recommends.
FIRST_BEACON = 0.02
COLLECTED = 0.1  # s after the first new PV, because others come with it
APART = 10.0  # s between two such series
VERSION = ca.DEFAULT_PROTOCOL_VERSION
NUMBERED = 11  # the minor version from which clients number their datagrams
HEADER = struct.Struct(">HHHHII")  # command, bytes that follow, two and two more parameters
VERSION_COMMAND, SEARCH = ca.VersionRequest.ID, ca.SearchRequest.ID
FOUND_SIZE = 8  # bytes after an answer's header
# Commands that may come to the port: versions, searches, their failures, beacons, repeaters,
# echoes.
BY_DATAGRAM = {0, SEARCH, 13, 14, 17, 23, 24}
LONGEST_QUEUE = 1 << 16  # bytes of answers that wait to be sent


class NotChannelAccessError(ValueError):
    """A datagram is not what Channel Access clients send."""


class Searched(NamedTuple):
    """What a datagram asks for."""

    names: list[tuple[str, int]]  # each name with the client's number of it
    number: int | None  # the number of the datagram, if the client numbers its datagrams


def searched(data: bytes) -> Searched:
    """Return what a datagram asks for.

    (caproto makes an object of each search, which takes ten times as long. A burst of searches
    would delay the clients that are connected.)

    Raises:
        NotChannelAccessError: the datagram is not Channel Access, or is cut short.
    """
    names: list[tuple[str, int]] = []
    number: int | None = None
    at = 0
    while at < len(data):
        if len(data) - at < HEADER.size:
            raise NotChannelAccessError(f"{len(data) - at} bytes are no message")
        command, size, _, version, identity, _ = HEADER.unpack_from(data, at)
        name = data[at + HEADER.size : at + HEADER.size + size]
        if command not in BY_DATAGRAM or len(name) < size:
            raise NotChannelAccessError(f"command {command} with {size} bytes")
        if command == SEARCH:
            names.append((name.partition(b"\0")[0].decode("latin-1"), identity))
        elif command == VERSION_COMMAND:
            number = identity if version >= NUMBERED else None
        at += HEADER.size + size
    return Searched(names, number)


def numbered(number: int | None) -> bytes:
    """Return the first bytes of the answer to a datagram with this number.

    libca searches for more names at a time, and sooner, if the number tells it that all names of
    its last datagram were found. Otherwise it waits 32 ms after each datagram: 10,000 channels took
    12 s to connect. (caproto's `VersionResponse` always gives the number 1.)
    """
    return b"" if number is None else HEADER.pack(VERSION_COMMAND, 0, 1, VERSION, number, 0)


class Searches(asyncio.DatagramProtocol):
    """A socket on which clients search for records; answers for those that `serves` knows."""

    def __init__(
        self,
        serves: Callable[[str], bool],
        port: int,
        ignored: Iterable[str],
        complaints: Complaints,
        allowed: Callable[[str, int], int] = lambda _, wanted: wanted,
    ) -> None:
        """Prepare; answers are sent from `connection_made` on.

        Args:
            serves: returns whether there is a channel of a name.
            port: the TCP port of the server.
            ignored: addresses that get no answer.
            complaints: says in the log what clients do.
            allowed: returns how many of so many names are answered for a host.
        """
        self._serves, self._ignored, self._complaints = serves, frozenset(ignored), complaints
        self._allowed = allowed
        # Port and "at the address that this comes from"; the client's number; our version.
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
            names, number = searched(data)
            found = [identity for name, identity in names if self._serves(name)]
        except NotChannelAccessError as error:
            self._complaints.say(addr[0], error)
            return
        except Exception as error:  # noqa: BLE001 - whatever a name has in it, others are answered
            self._complaints.say(addr[0], fault(error))
            return
        if found:
            found = found[: self._allowed(addr[0], len(found))]
        # A client without an answer asks again.
        if found and self._transport.get_write_buffer_size() < LONGEST_QUEUE:
            answers = (self._answer.pack(*self._found, each, VERSION) for each in found)
            self._transport.sendto(numbered(number) + b"".join(answers), addr)

    def close(self) -> None:
        """Answer no more searches."""
        # `close` would wait until the network takes the answers that wait, which it may never do.
        self._transport.abort()

    def error_received(self, exc: Exception) -> None:
        """Ignore an ICMP error: a client did not wait for its answer."""
        log.debug("datagram: %s", exc)
        go_on(self._transport)


class Beacons:
    """Tells clients that the server lives, so that they search again for PVs that they miss."""

    def __init__(self, port: int, destinations: Mapping[Address, str], period: float) -> None:
        """Prepare beacons to each of `destinations`, with our address for that destination.

        Args:
            port: the TCP port of the server.
            destinations: where to send a beacon, and which address of ours it names.
            period: seconds between two beacons in the end.
        """
        self._port, self._destinations = port, destinations
        self._protocol = ca.Broadcaster(our_role=ca.SERVER)
        self._longest = max(period, FIRST_BEACON)
        self._socket = datagram_socket()
        self._count, self._period = 0, FIRST_BEACON
        self._unreached: set[Address] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._anomaly: asyncio.TimerHandle | None = None
        self._free_at = 0.0  # loop time, s, from which the next series may begin

    def begin_anew(self) -> None:
        """Send a quick series of beacons soon, so that clients search for PVs that they miss.

        All clients of the network then search, so there is at most one series in `APART` seconds.
        """
        if self._anomaly is None:
            loop = asyncio.get_running_loop()
            at = max(loop.time() + COLLECTED, self._free_at)
            self._anomaly = loop.call_at(at, self._begin_anew)

    def _begin_anew(self) -> None:
        self._anomaly = None
        self._free_at = asyncio.get_running_loop().time() + APART
        if self._timer is not None:
            self._timer.cancel()
        self._period = FIRST_BEACON
        self.send()

    def send(self) -> None:
        """Send one beacon; the next ones follow by themselves."""
        self._timer = asyncio.get_running_loop().call_later(self._period, self.send)
        self._period = min(2 * self._period, self._longest)
        for destination, own in self._destinations.items():
            beacon = ca.Beacon(VERSION, self._port, self._count, own)
            try:
                self._socket.sendto(self._protocol.send(beacon), destination)
            except OSError as error:
                self._failed(destination, error)
            else:
                self._unreached.discard(destination)
        self._count = (self._count + 1) & 0xFFFFFFFF

    def close(self) -> None:
        """Send no more beacons."""
        for timer in (self._timer, self._anomaly):
            if timer is not None:
                timer.cancel()
        self._socket.close()

    def _failed(self, destination: Address, error: OSError) -> None:
        """Log a failure once; it may last for weeks."""
        if destination not in self._unreached:
            self._unreached.add(destination)
            log.info("no beacons to %s:%d: %s", *destination, error)


def beacon_destinations(variables: EpicsVariables, interfaces: Iterable[str]) -> dict[Address, str]:
    """Return where beacons go, each with our address that the beacon announces.

    Args:
        variables: what the environment says about beacons.
        interfaces: where the server listens.
    """
    port = variables.beacon_port
    interfaces = list(interfaces)
    found = dict.fromkeys(listed(variables.beacon_addresses, port), interfaces[0])
    if variables.auto_beacons:
        for interface in interfaces:
            for broadcast in _heard_by_repeaters(interface):
                found.setdefault((broadcast, port), interface)
    return found


def _heard_by_repeaters(interface: str) -> list[str]:
    """Return each network of this host, because 255.255.255.255 would reach only one of them."""
    if interface == EVERYWHERE and (found := broadcasts()):
        return found
    broadcast = broadcast_of(interface)
    return [broadcast] if broadcast else []
