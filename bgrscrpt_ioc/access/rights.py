"""What a client may do with a record, and how it puts. Every face asks here before it serves.

It decides nothing: security.py and rules.py do. No protocol is known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag
from functools import cached_property

from bgrscrpt_ioc.access.acf import Right
from bgrscrpt_ioc.access.putlog import PutLog
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.records.live import LiveRecord, ReadOnlyError, WrongValueError
from bgrscrpt_ioc.records.puts import Completed

COMMANDS = 0  # access security level of what clients write, like that of a bo's VAL in EPICS
READINGS = 1  # access security level of all other fields


class Rights(Flag):
    """What a client may do with a record or field."""

    NONE = 0
    READ = 1
    WRITE = 2


class NoAccessError(PermissionError):
    """A put is refused: the client may not write the record."""


@dataclass(frozen=True)
class Asker:
    """A client: who it says it is, and the two addresses of its connection.

    The user is what the client says: no protocol of ours knows more. The host is what the client
    says if the client is on this host. Otherwise it is the address that the connection comes from.
    """

    user: str
    claimed_host: str
    address: str
    own_address: str

    @cached_property
    def by(self) -> str:
        """Return `user@host` for messages and logs. Do not trust it."""
        host = self.claimed_host if self.address.startswith("127.") else self.address
        return f"{_name(self.user)}@{_name(host)}"


class Access:
    """The rights to the records of one server, and the log of puts."""

    def __init__(self, security: Security, putlog: PutLog | None = None) -> None:
        """Decide by these rules; `putlog` hears of every put to a record that can be written."""
        self.security, self._putlog = security, putlog
        self._told: dict[Callable[[], None], None] = {}
        security.changed.append(self._changed)

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the rights of clients may have changed."""
        self._told[changed] = None

    def unwatch(self, changed: Callable[[], None]) -> None:
        """Stop calling `changed`."""
        self._told.pop(changed, None)

    def _changed(self) -> None:
        for changed in tuple(self._told):  # a client may go while it is told
            changed()

    def rights(self, asker: Asker, *, writable: bool) -> Rights:
        """Return what the client may do with a record.

        `writable` says whether anybody may write it.
        """
        level = COMMANDS if writable else READINGS
        right = self.security.granted(level, asker.user, asker.address, asker.own_address).right
        rights = Rights.NONE
        if right >= Right.READ:
            rights |= Rights.READ
        if right >= Right.WRITE and writable:
            rights |= Rights.WRITE
        return rights

    def put(self, record: LiveRecord, value: object, asker: Asker, completed: Completed) -> None:
        """Begin a client's put of a number or a text, and log it; see `LiveRecord.put`.

        Raises:
            NoAccessError: the client may not write the record. The refusal is logged.
            ReadOnlyError: nobody may write the record.
            WrongValueError: the record cannot have the value.
        """
        try:
            new = self._checked(record, value, asker)
        except (ReadOnlyError, NoAccessError, WrongValueError) as error:
            self.refused(record, value, asker, str(error))
            raise
        if self._putlog is not None:
            self._putlog.done(asker.by, record.name, new, record.value, asker.address)
        record.put(new, asker.by, completed)

    def _checked(self, record: LiveRecord, value: object, asker: Asker) -> object:
        if not record.writable:
            raise ReadOnlyError(f"{record.name} is read-only")
        if Rights.WRITE not in self.rights(asker, writable=True):
            raise NoAccessError(f"{asker.by} has no right to write {record.name}")
        return record.understood(value)

    def refused(self, record: LiveRecord, value: object, asker: Asker, why: str) -> None:
        """Log a put that is not carried out, at most once a minute for each address."""
        if self._putlog is not None:
            self._putlog.refused(asker.by, record.name, value, why, asker.address)


def _name(text: str) -> str:
    return re.sub(r"[^\w.\-]", "?", text)[:40] or "?"
