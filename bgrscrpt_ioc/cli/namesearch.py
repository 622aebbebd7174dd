"""Asks the network, before an IOC serves, whether another server already has its PVs.

It uses only the standard library and the host's networks. The question is sent before the server is
imported. So the answers come during the import, and the start takes no longer.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence

from bgrscrpt_ioc.config.epicsvars import EpicsVariables, read_epics_variables
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.host.networks import (
    EVERYWHERE,
    LOOPBACK_BROADCAST,
    Address,
    broadcast_of,
    broadcasts,
    listed,
)
from bgrscrpt_ioc.host.system import datagram_socket

PATIENCE = 0.1  # s from the question until no answer means that nobody has the PVs
# Seconds in which a server must answer again: the first answer may come from a server that ends.
AGAIN = 0.5
LARGEST = 1024  # bytes of a datagram of searches, as base sends them
MOST = 65_535  # bytes of any datagram

VERSION, SEARCH, MINOR = 0, 6, 13
NO_REPLY = 5  # for a search: do not answer if the PV is unknown
ANYWHERE = (0, 0xFFFFFFFF)  # as an answer's address: the address that the answer comes from
HEADER = struct.Struct(">HHHHII")


class NameSearch:
    """One search for PVs on the network, sent when this object is made."""

    def __init__(self, names: Sequence[str], destinations: Sequence[Address]) -> None:
        """Ask each of `destinations` for all `names`."""
        self._names, self._destinations = list(names), list(destinations)
        self._socket = datagram_socket()
        self._sent = 0.0
        self._send()

    def close(self) -> None:
        """Receive no more answers."""
        self._socket.close()

    def refusal(self) -> str:
        """Return why no IOC should serve the names; "" if no other server has them.

        This waits for answers until `PATIENCE` after the question. A server that answers is asked
        once more and must answer again, because it may be the IOC that this one replaces, just
        before its end.
        """
        if not self._answers(self._sent + PATIENCE):
            return ""
        self._send()
        found = self._answers(self._sent + AGAIN)
        if not found:
            return ""
        name, (host, port) = next(iter(found.items()))
        return (
            f"{name} is served already, by {host}:{port}: a second IOC would run the instance a"
            " second time; end the other IOC, or give this one another prefix or instance name;"
            " if the other one is a gateway that answers for this IOC, start with --force"
        )

    def _send(self) -> None:
        for destination in self._destinations:
            for question in questions(self._names):
                # On a network that is down, or that refuses to send, nobody serves.
                with contextlib.suppress(OSError):
                    self._socket.sendto(question, destination)
        self._sent = time.monotonic()

    def _answers(self, until: float) -> dict[str, Address]:
        """Return who has which of the names, as soon as one server has one."""
        while True:
            # Never 0, which would mean not to wait at all.
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                data, address = self._socket.recvfrom(MOST)
            except TimeoutError:
                return {}
            except OSError:  # a host that was asked does not listen
                continue
            found = {
                self._names[which]: server
                for which, server in answers(data, address[0])
                if which < len(self._names)
            }
            if found:
                return found


def search_for_instances(settings: IocSettings, variables: Mapping[str, str]) -> NameSearch:
    """Ask the network for the STATUS of each instance, and return the search."""
    names = [f"{settings.prefix}{each.name}:STATUS" for each in settings.instances]
    epics = read_epics_variables(variables)
    return NameSearch(names, destinations(epics, settings.interfaces, settings.port))


def destinations(epics: EpicsVariables, interfaces: Sequence[str], port: int) -> list[Address]:
    """Return where servers of the same names may be.

    That is where clients of this environment search, and all hosts on the networks of the IOC's own
    interfaces, at the clients' port and at the IOC's port.
    """
    found = listed(epics.addresses, epics.client_port)
    hosts = broadcasts() if epics.auto_addresses else []
    own = broadcasts() if EVERYWHERE in interfaces else map(broadcast_of, interfaces)
    hosts = [*hosts, *filter(None, own), LOOPBACK_BROADCAST]
    found += [(host, each) for each in (epics.client_port, port) for host in hosts]
    return list(dict.fromkeys(found))


def questions(names: Sequence[str]) -> Iterator[bytes]:
    """Yield datagrams that search for names. Each name is numbered by its place in `names`."""
    begin = HEADER.pack(VERSION, 0, 0, MINOR, 0, 0)
    data = begin
    for which, name in enumerate(names):
        text = name.encode("latin-1")
        text += b"\0" * (8 - len(text) % 8)
        message = HEADER.pack(SEARCH, len(text), NO_REPLY, MINOR, which, which) + text
        if len(data) + len(message) > LARGEST:
            yield data
            data = begin
        data += message
    yield data


def answers(data: bytes, sender: str) -> Iterator[tuple[int, Address]]:
    """Yield what a datagram answers: the number of a name, and the server's address."""
    at = 0
    while len(data) - at >= HEADER.size:
        command, size, port, _, host, which = HEADER.unpack_from(data, at)
        if command == SEARCH:
            server = sender if host in ANYWHERE else socket.inet_ntoa(struct.pack(">I", host))
            yield which, (server, port)
        at += HEADER.size + size
