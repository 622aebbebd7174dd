"""The records of one instance: readings come by `publish`, commands go to the supervisor.

It decides nothing. table.py has the records. Every face shows them and puts to them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from bgrscrpt_ioc.lifecycle.events import CommandFailed, Severity
from bgrscrpt_ioc.records.iocstats import IocStatsRecords, iocstats_prefix
from bgrscrpt_ioc.records.kinds import command, live, switch
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.records.ownreadings import OwnReadings
from bgrscrpt_ioc.records.procserv import ProcServRecords, procserv_prefix
from bgrscrpt_ioc.records.table import RECORDS, Record
from bgrscrpt_ioc.registry.pvrows import PvRow


class Commands(Protocol):
    """Carries out commands. Each call returns when the commanded state is reached.

    If that fails, it raises `CommandFailed`. `by` is `user@host`.
    """

    async def start(self, by: str) -> None:
        """Start the script; return when it is Running."""
        ...

    async def stop(self, by: str) -> None:
        """Stop the script; return when none of its processes lives."""
        ...

    async def restart(self, by: str) -> None:
        """Restart the script; return when the new run is Running."""
        ...

    async def check(self, by: str) -> None:
        """Check the script; return if it compiles."""
        ...

    async def stack(self, by: str) -> None:
        """Take the stacks of the script's threads; return when STACK:TEXT has them."""
        ...

    def set_autorestart(self, on: bool, by: str) -> None:
        """Switch AUTORESTART, and publish it."""
        ...

    def refresh(self, name: str) -> Awaitable[object] | None:
        """Publish a live reading as it is now, because a client is about to read it.

        Return None if that is done, or an awaitable that ends when it is. A coroutine does nothing
        before it is awaited.
        """
        ...


class InstanceRecords:
    """The records of one instance; `by_full_name` also has those under other names."""

    def __init__(
        self,
        prefix: str,
        name: str,
        *,
        log_tail: int,
        procserv_pvs: bool = False,
        iocstats_pvs: bool = False,
        own: OwnReadings | None = None,
    ) -> None:
        """Make the records, in state Stopped.

        Args:
            prefix: prefix of all names.
            name: name of the instance.
            log_tail: size of LOG, bytes.
            procserv_pvs: whether to make procServControl's records too.
            iocstats_pvs: whether to make devIocStats' records too.
            own: the readings of the IOC itself.
        """
        self._commands: Commands | None = None
        self._own = own or OwnReadings([name], None)
        self._records: dict[str, LiveRecord] = {}
        for each in RECORDS:
            record = replace(each, size=log_tail) if each.name == "LOG" else each
            self._records[record.name] = self._make(f"{prefix}{name}:{record.name}", record)
        self._procserv: ProcServRecords | None = None
        by_full_name = {each.name: each for each in self._records.values()}
        if procserv_pvs:
            self._procserv = ProcServRecords(
                procserv_prefix(prefix, name), name, self._do_as_procserv
            )
            by_full_name |= self._procserv.by_full_name
        if iocstats_pvs:
            stats = IocStatsRecords(iocstats_prefix(prefix, name), self._own)
            by_full_name |= stats.by_full_name
        self.by_full_name: Mapping[str, LiveRecord] = by_full_name
        self._own.show(self.publish)

    def connect(self, commands: Commands) -> None:
        """Let `commands` carry out what is put. Before this call all puts fail."""
        self._commands = commands

    def publish(
        self, name: str, value: str | float, severity: Severity = Severity.NO_ALARM
    ) -> None:
        """Post a reading, if its value or severity has changed.

        Args:
            name: name of the record, like `STATUS:MSG`.
            value: a text, a number, or the number of a choice.
            severity: severity of its alarm.

        Raises:
            KeyError: there is no such record.
            WrongValueError: the record cannot have this value.
        """
        self._records[name].post(value, severity)
        if self._procserv is not None:
            self._procserv.published(name, value)

    def record(self, name: str) -> LiveRecord:
        """Return a record by its short name, like `STATUS:MSG`."""
        return self._records[name]

    def _make(self, full_name: str, record: Record) -> LiveRecord:
        if record.name == "AUTORESTART":
            return switch(full_name, record, self._set_autorestart)
        if record.writable:
            return command(full_name, record, partial(self._do, record.name))
        made = live(full_name, record)
        if record.live:
            made.refresh = partial(self._refresh, record.name)
        return made

    def _refresh(self, name: str) -> Awaitable[object] | None:
        if name.startswith("IOC:"):
            return self._own.refresh(name, self.publish)
        return None if self._commands is None else self._commands.refresh(name)

    async def _set_autorestart(self, value: int, by: str) -> None:
        self._connected.set_autorestart(bool(value), by)

    async def _do(self, name: str, value: int, by: str) -> None:  # noqa: ARG002 - always 1
        commands = self._connected
        calls: dict[str, Callable[[str], Awaitable[None]]] = {
            "START": commands.start,
            "STOP": commands.stop,
            "RESTART": commands.restart,
            "CHECK": commands.check,
            "STACK": commands.stack,
        }
        await calls[name](by)

    async def _do_as_procserv(self, name: str, value: int, by: str) -> None:
        """Do what procServControl does: a STOP is not undone, and a RESTART lasts."""
        on = bool(self._records["AUTORESTART"].value)
        wanted = {"TOGGLE": not on, "STOP": False, "RESTART": True}.get(name, on)
        if wanted != on:
            self._connected.set_autorestart(wanted, by)
        if name != "TOGGLE":
            await self._do(name, value, by)

    @property
    def _connected(self) -> Commands:
        if self._commands is None:
            raise CommandFailed("the IOC is starting")
        return self._commands


def registry_rows(prefix: str, name: str) -> list[PvRow]:
    """Return the PVs of an instance as the IOC registry has them."""
    return [
        PvRow(f"{prefix}{name}:{record.name}", record.kind, record.desc, record.infos)
        for record in RECORDS
    ]
