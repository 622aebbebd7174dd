"""Looks up host names in threads that may be left behind.

A dead name server costs 5 to 30 s for each name, in a call that nothing can interrupt. A caller
waits only as long as it wants, and the end of the process does not wait: the threads are daemons.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from functools import partial

from bgrscrpt_ioc.host.faults import Faults

PATIENCE = 1.0  # s to wait for names that the system has not answered
LATE = 0.05  # s in which one name is usually answered; if none is, there are more threads

# There is no such host, or it has no IPv4 address. Not every system distinguishes these.
_ABSENT = ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_FAMILY")
ABSENT = {getattr(socket, name) for name in _ABSENT if hasattr(socket, name)}

Addresses = tuple[str, ...]  # in the system's order

log = logging.getLogger("bgrscrpt_ioc.host.resolver")


class Resolver:
    """Looks names up as often as it is asked. A name without an answer keeps its last one."""

    def __init__(self) -> None:
        """Prepare; nothing was asked."""
        self._changed = threading.Condition()  # its lock guards all that follows
        self._answers: dict[str, Addresses] = {}
        self._wanted: deque[str] = deque()  # no thread asks for these yet
        self._open: set[str] = set()  # these, and those that a thread asks for
        self._threads = 0
        self._said: set[str] = set()
        self._faults = Faults("names of hosts")

    async def addresses(
        self, names: Collection[str], patience: float = PATIENCE
    ) -> Mapping[str, Addresses]:
        """Look the names up again; return what is known of each after `patience` seconds.

        A name that does not exist, or never had an answer, has no address.
        """
        if all(map(_is_address, names)):
            return {name: (name,) for name in names}
        # Imported here, because commands need no asyncio.
        from bgrscrpt_ioc.host.worker import in_thread

        return await in_thread(partial(self.wait, names, patience))

    def wait(self, names: Collection[str], patience: float = PATIENCE) -> Mapping[str, Addresses]:
        """Do the same as `addresses`, and block meanwhile."""
        end = time.monotonic() + patience
        with self._changed:
            self._answers.update((name, (name,)) for name in names if _is_address(name))
            new = [
                each
                for each in dict.fromkeys(names)
                if each not in self._open and not _is_address(each)
            ]
            self._wanted += new
            self._open.update(new)
            while self._open.intersection(names) and (left := end - time.monotonic()) > 0:
                before = len(self._open)
                if self._wanted and not self._threads:
                    self._start()
                self._changed.wait(min(left, LATE))
                if self._wanted and len(self._open) == before:
                    for _ in range(min(self._threads, len(self._wanted))):
                        self._start()
            late = self._open.intersection(names) - self._said
            self._said |= late
            found = {name: self._answers.get(name, ()) for name in names}
        for name in sorted(late):
            last = "its last addresses are used" if found[name] else "no host has this name for now"
            log.warning("%r: no answer within %g s, so %s: see whether the name server answers",
                        name, patience, last)  # fmt: skip
        return found

    def _start(self) -> None:
        try:
            threading.Thread(target=self._ask, name="resolver", daemon=True).start()
        except RuntimeError:  # the system has no thread to give: it may have one later
            return
        self._threads += 1

    def _ask(self) -> None:
        while True:
            with self._changed:
                if not self._wanted:
                    self._threads -= 1
                    return
                name = self._wanted.popleft()
            answer = None
            with self._faults:
                answer = look_up(name)
            with self._changed:
                if answer is not None:
                    self._answers[name] = answer
                    self._said.discard(name)
                self._open.discard(name)
                self._changed.notify_all()


def look_up(name: str) -> Addresses | None:
    """Return the addresses of a name; None if the name server does not answer. Blocks."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET)
    except socket.gaierror as error:
        return () if error.errno in ABSENT else None
    except UnicodeError:  # no host can have such a name
        return ()
    except OSError:  # no descriptor is left, for example
        return None
    return tuple(dict.fromkeys(str(info[4][0]) for info in found))


def own_name() -> str:
    """Return the name of this host, with its domain if the system knows it. Blocks."""
    return socket.getfqdn()


def _is_address(name: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, name)
    except (OSError, ValueError):  # ValueError: the name contains a NUL, or is not ASCII
        return False
    return True
