"""Searches the network for PVs that access rules use: caproto's searches without two faults.

It is imported only if a file has such inputs.
"""

from __future__ import annotations

import contextlib
from typing import Any

import caproto as ca
from caproto.asyncio.client import SharedBroadcaster

from bgrscrpt_ioc.host.resolver import Resolver


class InputSearches(SharedBroadcaster):
    """Sends searches to the hosts of EPICS_CA_ADDR_LIST, even if one of them has no address.

    caproto gives a host's name to `sendto`. That asks the name server, and the event loop waits. If
    the network is down, caproto also logs a traceback for each search.
    """

    def __init__(self, resolver: Resolver) -> None:
        super().__init__()
        self._resolver = resolver

    async def send(self, *commands: Any) -> None:
        """Send a datagram to every host that has an address."""
        data, socket = self.broadcaster.send(*commands), self.udp_sock
        wanted = ca.get_client_address_list()
        addresses = await self._resolver.addresses([host for host, _ in wanted])
        if socket is None:  # the context is being closed
            return
        for host, port in wanted:
            for address in addresses[host][:1]:
                # A host that cannot be reached has no PVs; the next search is sent in any case.
                with contextlib.suppress(OSError):
                    socket.sendto(data, (address, port))
