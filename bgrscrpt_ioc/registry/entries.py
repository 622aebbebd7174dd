"""How far one entry of the registry is written, and what users are told of it."""

from __future__ import annotations

from dataclasses import dataclass

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.registry.wanted import Wanted


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """The values of REGISTERED and REGISTRY:MSG (at most 255 bytes of UTF-8), and their alarm."""

    registered: bool
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Answer:
    """The database's answer to one entry."""

    refusal: str = ""  # why the database will never take it
    warnings: tuple[str, ...] = ()  # what was left out
    taken: str = ""  # who has the row, if another IOC has it


@dataclass(eq=False, slots=True)
class Entry:
    """What is wanted of one IOC name. A new wish is a new entry, so a late answer does no harm."""

    wanted: Wanted
    remark: str = ""  # what was left out
    refusal: str = ""  # why the database will never take it
    taken: str = ""  # who has the row, if another IOC has it
    written: bool = False  # the database has it

    @property
    def name(self) -> str:
        """The IOC name."""
        return self.wanted.ioc_name

    @property
    def pending(self) -> bool:
        """Return whether the database should have the entry and does not have it."""
        return not self.written and not self.refusal

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do or to remember."""
        return not self.pending and self.wanted.stopped is not None
