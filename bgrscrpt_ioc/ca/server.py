"""The Channel Access server: listens, answers searches, has a circuit for each client, ends well.

It uses caproto's protocol code but not caproto's server. Nearly every method of that server has one
of the faults in docs/explanations/caproto-faults.md, and it would be imported with all its record
classes. This file knows no instance.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

from bgrscrpt_ioc.access.rights import Access
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.links import ClientLimits, Links
from bgrscrpt_ioc.ca.listener import Acceptor
from bgrscrpt_ioc.ca.lookup import Channels
from bgrscrpt_ioc.ca.ports import PortInUseError, explained, listening_sockets
from bgrscrpt_ioc.ca.search import Beacons, Searches, beacon_destinations
from bgrscrpt_ioc.ca.session import connection
from bgrscrpt_ioc.config.epicsvars import read_epics_variables
from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.networks import EVERYWHERE, broadcast_of, listed
from bgrscrpt_ioc.host.resolver import Resolver
from bgrscrpt_ioc.host.system import hears_only_its_address, shared_datagram_socket
from bgrscrpt_ioc.records.live import LiveRecord

PATIENCE = 5.0  # s that the start waits for the addresses of interfaces that have names

log = logging.getLogger("bgrscrpt_ioc.ca.server")


__all__ = ["CaServer", "PortInUseError", "within_descriptors"]


class CaServer:
    """Serves `records` on `interfaces`, from start to close.

    Clients search at UDP `port`, which all servers of a host share. TCP `port` is a wish: if
    another server has it, this server listens at a free port, and answers and beacons name that
    port.
    """

    def __init__(
        self,
        records: Mapping[str, LiveRecord],
        interfaces: Sequence[str],
        port: int,
        limits: ClientLimits | None = None,
        *,
        access: Access | None = None,
        fast_reads: bool = True,
    ) -> None:
        """Prepare. Tests that compare switch `fast_reads` off (reads.py)."""
        self._access = access or Access(Security())
        self._fast_reads = fast_reads
        self._records, self._channels = records, Channels(records)
        self._interfaces, self._port = interfaces, port
        self.tcp_port = port  # after the start: the port that was free
        self._links = Links(within_descriptors(limits or ClientLimits()))
        self._open = AsyncExitStack()
        self._beacons: Beacons | None = None

    # --- directory.Face --------------------------------------------------------------------------

    def added(self) -> None:
        """Make clients that wait for a PV search for it again."""
        if self._beacons is not None:
            self._beacons.begin_anew()

    def removed(self, records: Sequence[LiveRecord]) -> None:
        """Tell the clients of these records that they are disconnected."""
        self._channels.removed(records)

    # --- its life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve from now on.

        Raises:
            PortInUseError: another program has the UDP port and does not share it.
            OSError: no interface is one of this host.
        """
        try:
            variables = read_epics_variables(os.environ)
            for problem in variables.problems:
                log.warning("environment: %s", problem)
            addresses = await _resolved(self._interfaces)
            self._listen(addresses)
            ignored = [host for host, _ in listed(variables.ignored, self._port)]
            await self._listen_for_searches(addresses, ignored)
            destinations = beacon_destinations(variables, addresses)
            self._beacons = Beacons(self.tcp_port, destinations, variables.beacon_period)
            self._open.callback(self._beacons.close)
            self._beacons.send()
        except BaseException:
            await self.close()
            raise

    @property
    def clients(self) -> tuple[int, int]:
        """Return how many connections of clients there are, and how many there may be."""
        return len(self._links), self._links.limits.connections

    async def close(self) -> None:
        """End: stop listening, disconnect all clients, and let pending puts fail."""
        self._beacons = None
        await self._open.aclose()
        for link in self._links:
            link.take_no_more()
        for record in self._records.values():
            if record.puts is not None:
                await record.puts.cancel()
        await asyncio.gather(*(link.close() for link in self._links))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _listen(self, addresses: Sequence[str]) -> None:
        listening = listening_sockets(addresses, self._port)
        self.tcp_port = listening[0].getsockname()[1]
        for each in listening:
            self._open.push_async_callback(Acceptor(each, self._link, self._links).close)
        if self.tcp_port != self._port:
            log.info(
                "TCP port %d belongs to another server: this IOC listens at TCP port %d; clients"
                " find it by a broadcast search at UDP port %d, which all servers share",
                self._port,
                self.tcp_port,
                self._port,
            )

    def _link(self, address: tuple[str, int]) -> Link:
        return connection(
            self._channels,
            self.tcp_port,
            self._links,
            address,
            access=self._access,
            fast_reads=self._fast_reads,
        )

    async def _listen_for_searches(self, addresses: Sequence[str], ignored: Sequence[str]) -> None:
        # A socket that is bound to an interface's own address does not receive broadcasts.
        broadcasts = [broadcast_of(each) for each in addresses if hears_only_its_address(each)]
        for each in dict.fromkeys([*addresses, *filter(None, broadcasts)]):
            try:
                shared = shared_datagram_socket((each, self._port))
            except OSError as error:
                raise explained(error, each, self._port) from error
            _, searches = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Searches(
                    self._channels.has,
                    self.tcp_port,
                    ignored,
                    self._links.complaints,
                    self._links.answers,
                ),
                sock=shared,
            )
            self._open.push_async_callback(_ended, searches)


def within_descriptors(limits: ClientLimits) -> ClientLimits:
    """Return limits for a process that may open few files: scripts and files need some too."""
    most = system.descriptor_limit()
    connections = min(limits.connections, most * 3 // 4)
    if connections < limits.connections:
        log.info(
            "at most %d connections, because the limit on descriptors is %d", connections, most
        )
    of_host = min(limits.connections_of_host, connections)
    return replace(limits, connections=connections, connections_of_host=of_host)


async def _ended(searches: Searches) -> None:
    searches.close()
    await searches.closed


async def _resolved(interfaces: Sequence[str]) -> list[str]:
    """Return the addresses of interfaces, each once; 0.0.0.0 stands for all others.

    Raises:
        OSError: an interface is not known.
    """
    found: list[str] = []
    for interface, addresses in (await Resolver().addresses(interfaces, PATIENCE)).items():
        if not addresses:
            raise OSError(
                f"interface {interface!r} is not known: no address of it was found within"
                f" {PATIENCE:g} s; correct `interfaces` or EPICS_CAS_INTF_ADDR_LIST"
            )
        found.append(addresses[0])
    return [EVERYWHERE] if EVERYWHERE in found else list(dict.fromkeys(found))
