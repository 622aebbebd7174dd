"""The PVs that access rules look at (INPA, ...): our own directly, others by Channel Access.

One that is not there, or INVALID, has no value, and no rule that needs it holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from bgrscrpt_ioc.events import Severity


class Source(Protocol):
    """A channel of ours."""

    value: Any
    severity: Severity
    subscribers: tuple[Any, ...]


Known = Callable[[str], Source | None]


class Inputs:
    """What the PVs are now."""

    def __init__(self, known: Known | None, changed: Callable[[], None]) -> None:
        """Follow none yet; `known` finds channels of ours, `changed` is called at each change."""
        self._known, self._changed = known, changed
        self._own: dict[str, _Own] = {}
        self._client: Any = None  # caproto's, where there are PVs of others
        self._there: dict[str, float] = {}

    @property
    def values(self) -> Mapping[str, float]:
        """Those that have a value, by the name of their PV."""
        own = {
            name: value for name, each in self._own.items() if (value := each.number) is not None
        }
        return {**self._there, **own}

    async def follow(self, names: Collection[str]) -> None:
        """Follow these, and no others."""
        await self.close()
        for name in names:
            source = self._known(name) if self._known else None
            if source is not None:
                self._own[name] = _Own(source, self._changed)
        others = [name for name in names if name not in self._own]
        if others:
            await self._follow_others(others)

    async def close(self) -> None:
        """Follow none."""
        for each in self._own.values():
            each.close()
        self._own.clear()
        self._there.clear()
        if self._client is not None:
            client, self._client = self._client, None
            await client.disconnect()

    async def _follow_others(self, names: list[str]) -> None:
        from caproto.asyncio.client import Context  # only here: most IOCs have no such file

        self._client = Context()
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
            with contextlib.suppress(TypeError, ValueError):  # a text
                self._there[name] = float(response.data[0])
        if self._there.get(name) != before:
            self._changed()


class _Own:
    """A channel of ours; a subscriber of it."""

    mask = 5  # values and alarms

    def __init__(self, source: Source, changed: Callable[[], None]) -> None:
        self._source, self._before, self._tell = source, None, changed
        source.subscribers += (self,)

    @property
    def number(self) -> float | None:
        """Its value, if it is a number and valid."""
        value = self._source.value
        if self._source.severity is Severity.INVALID or not isinstance(value, (int, float)):
            return None
        return float(value)

    def changed(self) -> None:
        """It has changed."""
        self._tell()

    def close(self) -> None:
        """Look at it no more."""
        source = self._source
        source.subscribers = tuple(each for each in source.subscribers if each is not self)
