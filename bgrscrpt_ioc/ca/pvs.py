"""The PVs of one instance: readings in by `publish`, commands out to who carries them out.

Decides nothing; the table of the records is in records.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from bgrscrpt_ioc.ca.channels import Channel
from bgrscrpt_ioc.ca.kinds import channel_of
from bgrscrpt_ioc.ca.procserv import ProcServPVs, procserv_prefix
from bgrscrpt_ioc.ca.puts import Command, Writable
from bgrscrpt_ioc.ca.records import RECORDS, Record
from bgrscrpt_ioc.events import CommandFailed, Severity
from bgrscrpt_ioc.registry.pvrows import PvRow


class Commands(Protocol):
    """Who carries out what is put; each call returns when the commanded state is reached.

    They raise `CommandFailed` when it is not. `by` is `user@host`.
    """

    async def start(self, by: str) -> None:
        """Return when Running."""
        ...

    async def stop(self, by: str) -> None:
        """Return when no process of the script lives."""
        ...

    async def restart(self, by: str) -> None:
        """Return when the script runs anew."""
        ...

    async def check(self, by: str) -> None:
        """Return when the script is found to compile."""
        ...

    def set_autorestart(self, on: bool, by: str) -> None:
        """Switch AUTORESTART, and publish it."""
        ...

    def refresh(self, name: str) -> None:
        """Publish a live reading as it is now, because a client is about to read it."""
        ...


class InstancePVs:
    """The PVs of the instance `name`; `pvdb` has them by their full names."""

    def __init__(
        self, prefix: str, name: str, *, log_tail: int, procserv_pvs: bool = False
    ) -> None:
        """Make them, Stopped; `log_tail` is the size of LOG in bytes."""
        self._commands: Commands | None = None
        self._channels: dict[str, Channel] = {}
        for each in RECORDS:
            record = replace(each, size=log_tail) if each.name == "LOG" else each
            self._channels[record.name] = self._make(f"{prefix}{name}:{record.name}", record)
        self.pvdb = {channel.name: channel for channel in self._channels.values()}
        self._procserv: ProcServPVs | None = None
        if procserv_pvs:
            self._procserv = ProcServPVs(procserv_prefix(prefix, name), name, self._do)
            self.pvdb |= self._procserv.pvdb

    def connect(self, commands: Commands) -> None:
        """Have `commands` carry out what is put; before that, all puts fail."""
        self._commands = commands

    def publish(
        self, name: str, value: str | float, severity: Severity = Severity.NO_ALARM
    ) -> None:
        """Post a reading; nothing if value and severity are as they were.

        Args:
            name: of the record, like `STATUS:MSG`.
            value: text, a number, or the number of a choice.
            severity: its alarm.

        Raises:
            KeyError: there is no such record.
            ValueError: the record cannot have this value.
        """
        self._channels[name].post(value, severity)
        if self._procserv is not None:
            self._procserv.published(name, value)

    def channel(self, name: str) -> Channel:
        """The channel of a record."""
        return self._channels[name]

    def _make(self, full_name: str, record: Record) -> Channel:
        if record.name == "AUTORESTART":
            return Writable(full_name, record, self._set_autorestart)
        if record.writable:
            return Command(full_name, record, partial(self._do, record.name))
        channel = channel_of(full_name, record)
        if record.live:
            channel.refresh = partial(self._refresh, record.name)
        return channel

    def _refresh(self, name: str) -> None:
        if self._commands is not None:
            self._commands.refresh(name)

    async def _set_autorestart(self, value: int, by: str) -> None:
        self._connected.set_autorestart(bool(value), by)

    async def _do(self, command: str, value: int, by: str) -> None:  # noqa: ARG002 - always 1
        commands = self._connected
        if command == "TOGGLE":
            commands.set_autorestart(not self._channels["AUTORESTART"].value, by)
            return
        calls: dict[str, Callable[[str], Awaitable[None]]] = {
            "START": commands.start,
            "STOP": commands.stop,
            "RESTART": commands.restart,
            "CHECK": commands.check,
        }
        await calls[command](by)

    @property
    def _connected(self) -> Commands:
        if self._commands is None:
            raise CommandFailed("the IOC is starting")
        return self._commands


def registry_rows(prefix: str, name: str) -> list[PvRow]:
    """The PVs of an instance as the IOC registry has them."""
    return [
        PvRow(f"{prefix}{name}:{record.name}", record.kind, record.desc, record.infos)
        for record in RECORDS
    ]
