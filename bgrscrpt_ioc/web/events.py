"""Server-sent events: send what has changed to any number of pages.

A page that reads slowly gets the newest value, not each value. Only the names of what a page has
not seen are kept, so that nothing grows while the page sleeps.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from bgrscrpt_ioc.web.board import Board, Shown

PACE = 0.2  # s between two events of one page
PING = 5.0  # s without changes after which a page is told that the server is alive
FIRST_LINES = 2000  # lines of the log that a new page gets


class Audience:
    """All pages that listen."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def tell(self, names: Iterable[str]) -> None:
        """Note for each page that these instances have changed."""
        names = set(names)
        for each in self._listeners:
            each.take(names)

    def __len__(self) -> int:
        return len(self._listeners)

    @contextmanager
    def listening(self, only: str | None = None) -> Iterator[_Listener]:
        """Yield a listener for as long as the page is open."""
        listener = _Listener(only)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class _Listener:
    def __init__(self, only: str | None) -> None:
        self._only = only
        self._names: set[str] = set()
        self._woken = asyncio.Event()

    def take(self, names: set[str]) -> None:
        news = names if self._only is None else names & {self._only}
        if news:
            self._names |= news
            self._woken.set()

    async def news(self) -> set[str]:
        """Return what has changed since the last call.

        Nothing after `PING` seconds without changes.
        """
        try:
            async with asyncio.timeout(PING):
                await self._woken.wait()
        except TimeoutError:
            return set()
        self._woken.clear()
        names, self._names = self._names, set()
        return names


def event(kind: str, data: object) -> str:
    """Return the text of one event."""
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'), default=str)}\n\n"


async def overview(board: Board, audience: Audience) -> AsyncIterator[str]:
    """Yield all instances, and then those that change."""
    with audience.listening() as listener:
        now = time.time()
        yield event("all", [each.summary(now) for each in board.sorted()])
        while True:
            names = await listener.news()
            now = time.time()
            changed = [each for name in sorted(names) if (each := board.get(name)) is not None]
            yield (
                event("some", [each.summary(now) for each in changed])
                if changed
                else event("ping", now)
            )
            await asyncio.sleep(PACE)


async def instance(audience: Audience, shown: Shown) -> AsyncIterator[str]:
    """Yield all that is known of one instance, then what changes and each new line of its log."""
    with audience.listening(shown.instance.full_name) as listener:
        known: dict[str, Any] = {}
        known_own: dict[str, Any] = {}
        seen, opened = 0, None
        most = FIRST_LINES
        while True:
            now = time.time()
            detail = shown.detail(now)
            pvs = detail.pop("pvs")
            fresh = {name: value for name, value in pvs.items() if known.get(name) != value}
            gone = [name for name in known if name not in pvs]
            known = pvs
            own = detail.pop("own")
            fresh_own = {name: each for name, each in own.items() if known_own.get(name) != each}
            gone_own = [name for name in known_own if name not in own]
            known_own = own
            news = {"pvs": fresh, "gone": gone, "own": fresh_own, "own_gone": gone_own}
            yield event("state", {**detail, **news})
            first, lines = shown.scroll.after(seen, most)
            most = 20_000
            if lines or shown.scroll.open != opened:
                opened = shown.scroll.open
                seen = first + len(lines) - 1
                yield event("log", {"first": first, "lines": lines, "open": opened})
            await asyncio.sleep(PACE)
            while not await listener.news():
                yield event("ping", time.time())
