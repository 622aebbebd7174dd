"""Access security of one server: the file, its hosts' addresses and its inputs, kept up to date.

What the rules mean is rules.py's. A file that cannot be used is refused at the start; a later one
leaves the rules as they were.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bgrscrpt_ioc.access.acf import AccessFile, AccessFileError, Right, parse
from bgrscrpt_ioc.access.inputs import Inputs, Known
from bgrscrpt_ioc.access.rules import DEFAULT, Granted, Rules

LOOK = 5.0  # s between two looks at the file, and at what its hosts' names stand for

log = logging.getLogger("bgrscrpt_ioc.access")


class Security:
    """Who may do what. `changed` are called when that may have become something else."""

    def __init__(
        self, file: Path | None = None, write_hosts: Sequence[str] = (), known: Known | None = None
    ) -> None:
        """Nothing is read yet.

        Args:
            file: in EPICS's form; None: this host and `write_hosts` may write, all may read.
            write_hosts: host names, addresses or networks.
            known: finds our own channels, for the file's inputs.
        """
        self.changed: list[Callable[[], None]] = []
        self._path, self._write_hosts = file, write_hosts
        self._rules: Rules | None = None
        self._writers: frozenset[str] = frozenset()
        self._networks = tuple(_networks(write_hosts))
        self._text = ""
        self._refused = ""  # the text that was complained of
        self._inputs = Inputs(known, self._inputs_changed)
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the file, and follow it from now on.

        Raises:
            AccessFileError: it cannot be used; the text names it.
            OSError: it cannot be read.
        """
        await self._look()
        if self._path is not None or self._write_hosts:
            self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Follow nothing any more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._inputs.close()

    def granted(self, level: int, user: str, address: str, own_address: str) -> Granted:
        """What a client may do.

        Args:
            level: access security level of the field, 0 or 1.
            user: who it claims to be.
            address: where its connection comes from, and what it cannot claim.
            own_address: where its connection ends here.
        """
        if self._rules is not None:
            return self._rules.granted(DEFAULT, level, user, address)
        ours = address == own_address or ipaddress.ip_address(address).is_loopback
        return Granted(Right.WRITE if ours or self._is_writer(address) else Right.READ)

    def _is_writer(self, address: str) -> bool:
        there = ipaddress.ip_address(address)
        return address in self._writers or any(there in network for network in self._networks)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self._look()
            except (AccessFileError, OSError) as error:
                if str(error) != self._refused:
                    self._refused = str(error)
                    log.warning("%s; the rules stay as they were", error)

    async def _look(self) -> None:
        """Take the rules as they are in the file now, with the addresses of now."""
        if self._path is None:
            hosts = await asyncio.to_thread(_addresses, self._write_hosts)
            writers = frozenset[str]().union(*hosts.values())
            if writers != self._writers:
                self._writers = writers
                self._tell()
            return
        text, file, addresses = await asyncio.to_thread(_read, self._path)
        if self._rules is None or text != self._text or addresses != self._rules.addresses:
            if self._rules is not None:
                log.info("%s: new rules", self._path)
            self._rules, self._text, self._refused = Rules(file, addresses), text, ""
            pvs = {pv for group in file.groups.values() for pv in group.inputs.values()}
            await self._inputs.follow(pvs)
            self._inputs_changed()

    def _inputs_changed(self) -> None:
        if self._rules is not None:
            self._rules = Rules(self._rules.file, self._rules.addresses, self._inputs.values)
            self._tell()

    def _tell(self) -> None:
        for call in self.changed:
            call()


def _networks(hosts: Iterable[str]) -> Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for host in hosts:
        if "/" in host:
            yield ipaddress.ip_network(host, strict=False)


def _read(path: Path) -> tuple[str, AccessFile, dict[str, frozenset[str]]]:
    """Read the file and look its hosts up. May block."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        file = parse(text)
    except AccessFileError as error:
        raise AccessFileError(f"{path}: {error}") from error
    names = sorted({host for each in file.hosts.values() for host in each})
    return text, file, _addresses(names)


def _addresses(hosts: Iterable[str]) -> dict[str, frozenset[str]]:
    """The addresses that each name stands for; none for one that is not known. May block."""
    found: dict[str, frozenset[str]] = {}
    for host in hosts:
        try:
            there = {str(info[4][0]) for info in socket.getaddrinfo(host, None, socket.AF_INET)}
        except (OSError, UnicodeError):
            there = set()
        found[host] = frozenset(there)
    return found
