"""Access security of one server: keeps the file, its hosts' addresses and its inputs up to date.

rules.py applies the rules. A file that cannot be used is refused at the start. A later version that
cannot be used leaves the rules unchanged.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from bgrscrpt_ioc.access.acf import AccessFile, AccessFileError, Right, parse
from bgrscrpt_ioc.access.inputs import Inputs, Known
from bgrscrpt_ioc.access.rules import DEFAULT, Granted, Rules
from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.resolver import Resolver
from bgrscrpt_ioc.host.worker import in_thread

LOOK = 5.0  # s between two looks at the file and at the addresses of its hosts

log = logging.getLogger("bgrscrpt_ioc.access")


class Security:
    """The rules of now. Each of `changed` is called when the rules may have changed."""

    def __init__(
        self, file: Path | None = None, write_hosts: Sequence[str] = (), known: Known | None = None
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            file: in EPICS's form; None: this host and `write_hosts` may write, and all may read.
            write_hosts: host names, addresses or networks.
            known: finds our own channels for the file's inputs.
        """
        self.changed: list[Callable[[], None]] = []
        self._path, self._names = file, [host for host in write_hosts if "/" not in host]
        self._rules: Rules | None = None
        self._writers: frozenset[str] = frozenset()
        self._networks = tuple(_networks(write_hosts))
        self._text = ""
        self._refused = ""  # the last text that could not be used
        self._resolver = Resolver()
        self._inputs = Inputs(known, self._inputs_changed, self._resolver)
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the file, and follow its changes from now on.

        Raises:
            AccessFileError: the file cannot be used; the text names it.
            OSError: the file cannot be read.
        """
        await self._look()
        if self._path is not None or self._names:
            self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Stop following the file."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._inputs.close()

    def granted(self, level: int, user: str, address: str, own_address: str) -> Granted:
        """Return what a client may do.

        Args:
            level: access security level of the field, 0 or 1.
            user: who the client says it is.
            address: where its connection comes from. The client cannot choose this.
            own_address: our address of its connection.
        """
        if self._rules is not None:
            return self._rules.granted(DEFAULT, level, user, address)
        ours = address == own_address or ipaddress.ip_address(address).is_loopback
        return Granted(Right.WRITE if ours or self._is_writer(address) else Right.READ)

    def _is_writer(self, address: str) -> bool:
        there = ipaddress.ip_address(address)
        return address in self._writers or any(there in network for network in self._networks)

    async def _follow(self) -> None:
        faults = Faults("access security")
        while True:
            await asyncio.sleep(LOOK)
            with faults:
                await self._try_to_look()

    async def _try_to_look(self) -> None:
        try:
            await self._look()
        except (AccessFileError, OSError) as error:
            if str(error) != self._refused:
                self._refused = str(error)
                log.warning("%s; the rules stay as they were", error)

    async def _look(self) -> None:
        """Read the rules from the file, with the addresses of now."""
        if self._path is None:
            hosts = await self._resolver.addresses(self._names)
            writers = frozenset[str]().union(*hosts.values())
            if writers != self._writers:
                self._writers = writers
                self._tell()
            return
        text, file = await in_thread(partial(_read, self._path))
        names = sorted({host for each in file.hosts.values() for host in each})
        found = await self._resolver.addresses(names)
        addresses = {name: frozenset(found[name]) for name in names}
        if self._rules is None or text != self._text or addresses != self._rules.addresses:
            if self._rules is not None:
                log.info("%s: new rules", self._path)
            self._rules, self._text, self._refused = Rules(file, addresses), text, ""
            pvs = {pv for group in file.groups.values() for pv in group.inputs.values()}
            await self._inputs.follow(pvs)
            self._inputs_changed()

    def look_again(self) -> None:
        """Look for the file's inputs among our own channels: there are others now."""
        if self._inputs.look_again():
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


def _read(path: Path) -> tuple[str, AccessFile]:
    """Read the file. May block."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return text, parse(text)
    except AccessFileError as error:
        raise AccessFileError(f"{path}: {error}") from error
