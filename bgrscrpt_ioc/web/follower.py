"""Follows the PVs of instances by libca, and keeps the board up to date.

libca calls back in threads of its own. These calls only note what is new. The event loop takes what
was noted in batches, so that a burst of a thousand PVs wakes it once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.ownpvs import OwnPv, metadata, own_pvs, shown_value
from bgrscrpt_ioc.client.pvs import CONNECT_TIMEOUT
from bgrscrpt_ioc.client.readings import is_command, shown
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.table import RECORDS, Record
from bgrscrpt_ioc.web.board import Board, OwnReading, Shown, ShownValue
from bgrscrpt_ioc.web.seeker import PERIOD, Seeker

BATCH = 0.05  # s for which changes are collected
FOLLOWED: dict[str, Record] = {each.name: each for each in RECORDS if not is_command(each)}

_News = tuple[Any, int, dict[str, Any]]  # value, severity, and what else libca knows

log = logging.getLogger("bgrscrpt_ioc.web")


class PvFollower:
    """The channels of all instances."""

    def __init__(self, board: Board, news: Callable[[set[str]], None]) -> None:
        """Prepare; nothing is followed yet.

        Args:
            board: kept up to date.
            news: called in the event loop with the full names of the instances that changed.
        """
        self._board, self._tell = board, news
        self._loop = asyncio.get_running_loop()
        self._pvs: dict[str, dict[str, Any]] = {}
        self._own: dict[str, dict[str, tuple[OwnPv, Any]]] = {}  # PVs that scripts have made
        self._news: dict[tuple[str, str], _News | None] = {}
        self._lock = threading.Lock()

    def follow(self, instance: Instance) -> None:
        """Follow all readings of an instance, if that is not done already."""
        if instance.full_name in self._pvs:
            return
        shown = self._board.add(instance)
        self._pvs[instance.full_name] = {
            name: self._channel(instance.full_name, name, instance.pv + name) for name in FOLLOWED
        }
        self._loop.call_later(CONNECT_TIMEOUT, self._give_up, shown)

    def _give_up(self, shown: Shown) -> None:
        self._board.give_up(shown)
        self._tell({shown.instance.full_name})

    async def seek(self) -> None:
        """Have IOCs that come back found within seconds, for ever."""
        back: asyncio.Queue[str] = asyncio.Queue()

        def found(full_name: str) -> None:  # in a thread of libca
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(back.put_nowait, full_name)

        seeker = Seeker(found)
        while True:
            seeker.seek(self._board.missing())
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    while True:
                        await self._renew(await back.get())

    async def _renew(self, full_name: str) -> None:
        """Make the lost channels of an instance anew: libca finds new ones at once."""
        channels = self._pvs[full_name]
        for name, channel in list(channels.items()):
            if not channel.connected:
                _drop(channel)
                channels[name] = self._channel(full_name, name, channel.pvname)
                await asyncio.sleep(0)  # pages have their turn: each costs a millisecond
        followed = self._own.get(full_name, {})
        for name, (pv, channel) in list(followed.items()):
            if channel is not None and not channel.connected and name in followed:
                _drop(channel)
                followed[name] = pv, self._channel(full_name, name, channel.pvname, form="ctrl")
                await asyncio.sleep(0)

    def _follow_own(self, instance: Instance, listed: str) -> dict[str, OwnReading | None]:
        """Follow the PVs that a script has made, and stop following those that are gone."""
        wanted = own_pvs(listed)
        followed = self._own.setdefault(instance.full_name, {})
        gone = [name for name, (pv, _) in followed.items() if wanted.get(name) != pv]
        for name in gone:
            _, channel = followed.pop(name)
            if channel is not None:
                _drop(channel)
        news: dict[str, OwnReading | None] = dict.fromkeys(gone)
        for name, pv in wanted.items():
            if name not in followed:
                news[name] = OwnReading(pv, severity="INVALID" if pv.is_followed else None)
                channel = None
                if pv.is_followed:
                    full = instance.pv + name
                    channel = self._channel(instance.full_name, name, full, form="ctrl")
                followed[name] = pv, channel
        return news

    def _channel(self, full_name: str, name: str, pvname: str, form: str = "time") -> Any:
        from epics import PV

        key = (full_name, name)

        def changed(value: Any = None, severity: int = 0, **more: Any) -> None:
            self._note(key, (value, severity, more if form == "ctrl" else {}))

        def connection(conn: bool = False, **_more: Any) -> None:
            if not conn:
                self._note(key, None)

        return PV(
            pvname,
            callback=changed,
            connection_callback=connection,
            auto_monitor=True,
            form=form,
        )

    def _note(self, key: tuple[str, str], news: _News | None) -> None:
        """Note a reading for the event loop; called in threads of libca."""
        with self._lock:
            first = not self._news
            self._news[key] = news
        if first:
            with suppress(RuntimeError):  # the loop has ended, and the process ends too
                self._loop.call_soon_threadsafe(self._loop.call_later, BATCH, self._take)

    def _take(self) -> None:
        with self._lock:
            taken, self._news = self._news, {}
        by_instance: defaultdict[str, dict[str, _News | None]] = defaultdict(dict)
        for (full_name, name), news in taken.items():
            by_instance[full_name][name] = news
        now = time.time()
        for full_name, found in by_instance.items():
            if (instance := self._board.get(full_name)) is not None:
                self._take_of(instance, found, now)
        self._tell(set(by_instance))

    def _take_of(self, instance: Shown, found: dict[str, _News | None], now: float) -> None:
        """Take what was noted of one instance: its own readings, and those of its script's PVs."""
        readings = {
            name: None if news is None else _reading(name, *news[:2])
            for name, news in found.items()
            if name in FOLLOWED
        }
        self._board.take(instance, readings, now)
        followed = self._own.get(instance.instance.full_name, {})
        own: dict[str, OwnReading | None] = {
            name: _own_reading(followed[name][0], news)
            for name, news in found.items()
            if name in followed
        }
        listed = readings.get("PVS")
        if listed is not None:
            own |= self._follow_own(instance.instance, listed.value or "")
        if own:
            self._board.take_own(instance, own)


def _drop(channel: Any) -> None:
    """Follow a channel no more, and forget it."""
    from epics import ca

    chid = channel.chid
    channel.disconnect()
    ca.clear_channel(chid)


def _own_reading(pv: OwnPv, news: _News | None) -> OwnReading:
    if news is None:
        return OwnReading(pv)
    value, severity, more = news
    try:
        about = metadata(more)
        found = shown_value(pv, value, about["choices"])
        return OwnReading(pv, found, Severity(severity).name, about)
    except (ValueError, IndexError, TypeError) as error:  # another server has a PV of this name
        log.warning("%s: a value that cannot be shown: %s", pv.name, error)
        return OwnReading(pv)


def _reading(name: str, value: Any, severity: int) -> ShownValue:
    try:
        return ShownValue(shown(FOLLOWED[name], value), Severity(severity).name)
    except (ValueError, IndexError, TypeError) as error:  # another server has a PV of this name
        log.warning("%s: a value that cannot be shown: %s", name, error)
        return ShownValue(None, "INVALID")
