"""Follows the PVs that access rules use (INPA, ...): our own directly, others by Channel Access.

A PV that is missing or INVALID has no value, and then no rule that needs it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from bgrscrpt_ioc.host.resolver import Resolver
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.live import ALARM, VALUE, LiveRecord, Subscriber

CLOSING = 2.0  # s to close the connections to other IOCs


class Source(Protocol):
    """A record or field of ours."""

    @property
    def value(self) -> Any:
        """Return its value."""
        ...

    @property
    def severity(self) -> Severity:
        """Return the severity of its alarm."""
        ...

    def watch(self, subscriber: Subscriber) -> None:
        """Tell a subscriber of changes."""
        ...

    def unwatch(self, subscriber: Subscriber) -> None:
        """Stop telling a subscriber."""
        ...


Known = Callable[[str], Source | None]


class Inputs:
    """The inputs of the rules, kept up to date."""

    def __init__(
        self, known: Known | None, changed: Callable[[], None], resolver: Resolver
    ) -> None:
        """Prepare; `known` finds channels of ours, `changed` is called at each change."""
        self._known, self._changed, self._resolver = known, changed, resolver
        self._wanted: tuple[str, ...] = ()
        self._own: dict[str, _Own] = {}
        self._client: Any = None  # caproto's client, if there are PVs of others
        self._there: dict[str, float] = {}

    @property
    def values(self) -> Mapping[str, float]:
        """Those that have a value, by the name of their PV."""
        own = {name: each.number for name, each in self._own.items()}
        found = {**self._there, **own}
        return {name: value for name, value in found.items() if value is not None}

    async def follow(self, names: Collection[str]) -> None:
        """Follow these PVs and no others."""
        await self.close()
        self._wanted = tuple(names)
        self.look_again()
        others = [name for name in names if name not in self._own]
        if others:
            await self._follow_others(others)

    def look_again(self) -> bool:
        """Find those that are records of ours now: scripts make and remove PVs.

        Returns whether there are others than before. What we have is not looked for elsewhere.
        """
        changed = False
        for name in self._wanted:
            source, own = self._known(name) if self._known else None, self._own.get(name)
            if (own and own.source) is source:
                continue
            changed = True
            if own is not None:
                own.close()
                del self._own[name]
            if source is not None:
                self._own[name] = _Own(source, self._changed)
        return changed

    async def close(self) -> None:
        """Follow none."""
        self._wanted = ()
        for each in self._own.values():
            each.close()
        self._own.clear()
        self._there.clear()
        if self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(TimeoutError):  # an IOC that does not answer may take long
                async with asyncio.timeout(CLOSING):
                    await client.disconnect()

    async def _follow_others(self, names: list[str]) -> None:
        from caproto.asyncio.client import Context  # imported here: most IOCs have no such file

        from bgrscrpt_ioc.access.inputsearch import InputSearches

        self._client = Context(InputSearches(self._resolver))
        for pv in await self._client.get_pvs(*names, connection_state_callback=self._connected):
            subscription = pv.subscribe(data_type="time")
            subscription.add_callback(self._updated)

    async def _connected(self, pv: Any, state: str) -> None:
        if state != "connected" and self._there.pop(pv.name, None) is not None:
            self._changed()

    async def _updated(self, subscription: Any, response: Any) -> None:
        name = subscription.pv.name
        before = self._there.pop(name, None)
        if response.metadata.severity < Severity.INVALID and len(response.data):
            with contextlib.suppress(TypeError, ValueError):  # this is a text
                self._there[name] = float(response.data[0])
        if self._there.get(name) != before:
            self._changed()


class _Own:
    """An input that is a record or field of ours; a subscriber of it."""

    mask = VALUE | ALARM

    def __init__(self, source: Source, changed: Callable[[], None]) -> None:
        self.source, self._tell = source, changed
        source.watch(self)

    @property
    def number(self) -> float | None:
        """Its value, if it is a number and valid."""
        value = self.source.value
        if self.source.severity is Severity.INVALID or not isinstance(value, (int, float)):
            return None
        return float(value)

    def changed(self) -> None:
        """Note that it has changed."""
        self._tell()

    def close(self) -> None:
        """Look at it no more."""
        self.source.unwatch(self)


class Followed:
    """Has access security follow the PVs that scripts make and remove: a face of the directory."""

    def __init__(
        self, forget: Callable[[Sequence[LiveRecord]], None], look_again: Callable[[], None]
    ) -> None:
        """Have records that are gone forgotten by `forget`, and then `look_again` called."""
        self._forget, self._look_again = forget, look_again

    def added(self) -> None:
        """Look for inputs that were not there."""
        self._look_again()

    def removed(self, records: Sequence[LiveRecord]) -> None:
        """Look where inputs are that were there."""
        self._forget(records)
        self._look_again()
