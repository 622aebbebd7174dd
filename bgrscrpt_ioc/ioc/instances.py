"""The instances that an IOC serves now: claimed, made, served, removed.

The start, a reload and the end of the IOC use the same functions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence

from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.hold import Hold
from bgrscrpt_ioc.host.system import sweep
from bgrscrpt_ioc.ioc.instance import Parts, ServedInstance
from bgrscrpt_ioc.ioc.names import key_of, lock_of
from bgrscrpt_ioc.limits.confine import say_how
from bgrscrpt_ioc.records.live import LiveRecord

KEEPING = 5.0  # s that the files of a removed instance get to be written

log = logging.getLogger("bgrscrpt_ioc")


def claim(hold: Hold, settings: IocSettings, instances: Sequence[InstanceSettings]) -> None:
    """Take the names and states of instances for this IOC; end what dead IOCs left of them.

    Blocks: the state directory may be on a slow disk.

    Raises:
        TakenError: another IOC has one of them; none of them is held then.
    """
    keys: set[str] = set()
    try:
        for instance in instances:
            hold.take(key_of(settings, instance), lock_of(settings, instance))
            keys.add(key_of(settings, instance))
    except BaseException:
        if keys:
            hold.release(*keys)
        raise
    if killed := sweep(keys):
        log.warning("killed %d processes that an earlier IOC left behind", killed)


class Instances:
    """Those of one IOC, by their names."""

    def __init__(self, parts: Parts, hold: Hold) -> None:
        """There are none yet."""
        self.parts, self.hold = parts, hold
        self._served: dict[str, ServedInstance] = {}
        self._leaving: set[str] = set()  # those that are removed, and served still
        self._left: list[ServedInstance] = []  # abandoned
        self._live: list[LiveRecord] | None = None  # None: to be found anew

    def __iter__(self) -> Iterator[ServedInstance]:
        return iter(tuple(self._served.values()))

    def __getitem__(self, name: str) -> ServedInstance:
        return self._served[name]

    def get(self, name: str) -> ServedInstance | None:
        """Return the instance of this name, if there is one."""
        return self._served.get(name)

    @property
    def live(self) -> Sequence[LiveRecord]:
        """The records that are true only when one looks."""
        if self._live is None:
            every = (record for each in self for record in each.records)
            self._live = [record for record in every if record.refresh is not None]
        return self._live

    def make(self, settings: InstanceSettings, open_config: str) -> ServedInstance:
        """Make an instance, which is claimed; nobody sees it yet, and nothing runs."""
        return ServedInstance(settings, self.parts, open_config)

    def name_taken(self, made: ServedInstance) -> str:
        """Return one of the PVs of an instance that is served already, or ""."""
        return next(filter(self.parts.directory.has, made.pvs.by_full_name), "")

    def serve(self, instance: ServedInstance) -> None:
        """Have the faces show an instance."""
        self._served[instance.settings.name] = instance
        self.parts.directory.extend(instance.records)
        self._live = None

    def withdraw(self, instance: ServedInstance) -> None:
        """Have the faces show it no more: its clients are told."""
        self._served.pop(instance.settings.name, None)
        self._leaving.discard(instance.settings.name)
        self.parts.directory.remove(instance.records)
        self._live = None

    def prepare(self, instance: ServedInstance) -> None:
        """Have the guardian and the registry know an instance that is added to a running IOC."""
        if (cgroups := self.parts.cgroups) is not None:
            self.parts.guardian.add_cgroup(str(cgroups.of(instance.key).path))
        say_how(instance.settings, self.parts.cgroups)
        self.parts.registry.reconcile([instance.settings.name], time.time())

    def show_names(self, leaving: Sequence[str] = ()) -> None:
        """Publish in IOC:INSTANCES what is served; those that are `leaving` are not any more."""
        self._leaving |= set(leaving)
        own = self.parts.own
        own.names = tuple(name for name in self._served if name not in self._leaving)
        own.records = sum(len(each.pvs.by_full_name) for each in self)
        for each in self:
            own.show(each.pvs.publish)
        if self.parts.echo is not None:
            self.parts.echo.show_names(len(self._served) > 1)

    async def remove(self, instance: ServedInstance) -> str:
        """End an instance; return why its name is not free, or "".

        Its name stays claimed by this IOC where something of the script lives on, or where its
        files are not written: no other IOC shall have it then.
        """
        try:
            trouble = await instance.end("the instance is removed")
        finally:
            self.withdraw(instance)
        await instance.discard()
        try:
            async with asyncio.timeout(KEEPING):
                await instance.written()
        except TimeoutError:
            trouble = trouble or f"its files are not written within {KEEPING:g} s"
        if not trouble:
            self.hold.release(instance.key)
        return trouble

    def abandon(self, instance: ServedInstance) -> None:
        """Have nobody see an instance that could not be removed; it is ended with the IOC."""
        self._left.append(instance)
        self.withdraw(instance)

    async def end(self) -> None:
        """Stop all scripts; the PVs are served until the server is closed."""
        await asyncio.gather(*(each.end() for each in {*self, *self._left}))
