"""Brings a live reading up to date before it is read, if that takes time.

Each reader gets a value that was looked up after the reader asked. A reading has one look at a
time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

PATIENCE = 1.0  # s until a reader gets the last value: a file system may hang for hours

log = logging.getLogger("bgrscrpt_ioc.records")

Then = Callable[[], None]


class _Reader:
    """Waits for a current value, and is called once."""

    __slots__ = ("_among", "_late", "_then")

    def __init__(self, then: Then, among: Readers) -> None:
        """Wait together with others for the same look."""
        self._then, self._among = then, among
        among[self] = None
        self._late = asyncio.get_running_loop().call_later(PATIENCE, self.call)

    def call(self) -> None:
        """Stop waiting."""
        self._late.cancel()
        del self._among[self]
        self._then()


Readers = dict[_Reader, None]  # in the order of their coming


class Look:
    """The looks of one live reading, one after the other."""

    __slots__ = ("_name", "_next", "_readers", "_refresh", "_running")

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: asyncio.Future[object] | None = None
        self._readers: Readers = {}  # readers that wait for the look in progress
        self._next: Readers = {}  # readers that asked later: their look comes next

    def ask(self, refresh: Callable[[], Awaitable[object] | None], then: Then) -> None:
        """Look, and call `then` when the look is done or has taken too long."""
        self._refresh = refresh
        if self._running is not None:
            _Reader(then, self._next)
        elif (looking := self._looking()) is None:
            then()
        else:
            readers: Readers = {}
            _Reader(then, readers)
            self._begin(looking, readers)

    def _looking(self) -> Awaitable[object] | None:
        try:
            return self._refresh()
        except Exception:  # a fault in a look must harm no reader
            log.exception("%s: a fault of the IOC", self._name)
            return None

    def _begin(self, looking: Awaitable[object], readers: Readers) -> None:
        self._readers = readers
        self._running = asyncio.ensure_future(looking)
        self._running.add_done_callback(self._done)

    def _done(self, look: asyncio.Future[object]) -> None:
        if not look.cancelled() and (error := look.exception()) is not None:
            log.error("%s: a fault of the IOC: %r", self._name, error, exc_info=error)
        self._running = None
        done, waiting = [*self._readers], self._next
        self._readers, self._next = {}, {}
        if waiting:
            looking = self._looking()
            if looking is None:
                done += waiting
            else:
                self._begin(looking, waiting)
        for reader in done:
            reader.call()
