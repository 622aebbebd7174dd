"""The Channel Access server: listens, finds records, ends cleanly; one circuit for each client.

On caproto's protocol, but not on its server: of that, nearly every method has one of the faults of
design section 8, and it would have to be imported with all its record classes. Knows no instance.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

import caproto as ca

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.channels import Channel
from bgrscrpt_ioc.ca.circuit import Circuit
from bgrscrpt_ioc.ca.guard import Guard
from bgrscrpt_ioc.ca.links import Limits, Links
from bgrscrpt_ioc.ca.listener import Listener
from bgrscrpt_ioc.ca.lookup import has
from bgrscrpt_ioc.ca.puts import Writable
from bgrscrpt_ioc.ca.search import (
    EVERYWHERE,
    Beacons,
    Searches,
    beacon_destinations,
    broadcast_of,
    listed,
    udp_socket,
)

log = logging.getLogger("bgrscrpt_ioc.ca.server")


class PortInUseError(OSError):
    """Another program serves at the address."""


class CaServer:
    """Serves `channels` on TCP and UDP `port` of each of `interfaces`, from start to close."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        interfaces: Sequence[str],
        port: int,
        limits: Limits | None = None,
        *,
        guard: Guard | None = None,
        fast_reads: bool = True,
    ) -> None:
        self._guard = guard or Guard(Security())
        self._guard.security.changed.append(self._rights_changed)
        self._fast_reads = fast_reads
        self._channels, self._interfaces, self._port = channels, interfaces, port
        self._links = Links(within_descriptors(limits or Limits()))
        self._open = AsyncExitStack()

    async def start(self) -> None:
        """Serve from now on.

        Raises:
            PortInUseError: somebody else does. (EPICS takes another port then; of several servers
                on one host not all are found by unicast searches, so we do not.)
            OSError: an interface is not one of this host.
        """
        try:
            addresses = list(dict.fromkeys(_resolved(each) for each in self._interfaces))
            for address in addresses:
                self._listen(address)
            await self._listen_for_searches(addresses)
            self._send_beacons(addresses)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End: no listening, no client, no put goes on; what was pending fails."""
        await self._open.aclose()
        for link in self._links:
            link.take_no_more()
        for channel in self._channels.values():
            if isinstance(channel, Writable):
                await channel.cancel()
        await asyncio.gather(*(link.close() for link in self._links))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _listen(self, address: str) -> None:
        try:
            listener = Listener((address, self._port), self._circuit, self._links)
        except OSError as error:
            raise _explained(error, address, self._port) from error
        self._open.push_async_callback(listener.close)

    def _circuit(self, address: tuple[str, int]) -> Circuit:
        return Circuit(
            self._channels,
            self._port,
            self._links,
            address,
            guard=self._guard,
            fast_reads=self._fast_reads,
        )

    def _rights_changed(self) -> None:
        for link in self._links:
            if isinstance(link, Circuit) and link.connected:
                link.rights_changed()

    async def _listen_for_searches(self, addresses: Sequence[str]) -> None:
        entries = ca.get_environment_variables()["EPICS_CAS_IGNORE_ADDR_LIST"]
        ignored = [host for host, _ in listed(str(entries), self._port)]
        # What is sent to the broadcast address does not reach a socket bound to the interface's.
        broadcasts = [broadcast_of(each) for each in addresses if each != EVERYWHERE]
        for each in dict.fromkeys([*addresses, *filter(None, broadcasts)]):
            _, searches = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Searches(self._serves, self._port, ignored, self._links.complaints),
                sock=udp_socket((each, self._port)),
            )
            self._open.push_async_callback(_ended, searches)

    def _send_beacons(self, addresses: Sequence[str]) -> None:
        environ = ca.get_environment_variables()
        destinations = beacon_destinations(environ, addresses)
        beacons = Beacons(self._port, destinations, float(environ["EPICS_CAS_BEACON_PERIOD"]))
        self._open.callback(beacons.close)
        beacons.send()

    def _serves(self, name: str) -> bool:
        return has(self._channels, name)


def within_descriptors(limits: Limits) -> Limits:
    """The limits where the process may open fewer descriptors: scripts and files need some too."""
    most = posix.descriptor_limit()
    connections = min(limits.connections, most * 3 // 4)
    if connections < limits.connections:
        log.info("at most %d connections, for the limit on descriptors is %d", connections, most)
    of_host = min(limits.connections_of_host, connections)
    return replace(limits, connections=connections, connections_of_host=of_host)


async def _ended(searches: Searches) -> None:
    searches.close()
    await searches.closed


def _resolved(interface: str) -> str:
    try:
        return socket.gethostbyname(interface)
    except (OSError, UnicodeError) as error:  # the latter for what no host name can be
        raise OSError(f"interface {interface!r} is not known: {error}") from error


def _explained(error: OSError, address: str, port: int) -> OSError:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(
            f"port {port} of {address} is in use: stop the other IOC, or choose another port"
            " (EPICS_CAS_SERVER_PORT) or interface"
        )
    return OSError(
        error.errno, f"cannot serve on {address}:{port}: {error.strerror}; is it this host's?"
    )
