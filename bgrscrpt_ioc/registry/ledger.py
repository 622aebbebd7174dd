"""What each IOC name should be in the registry, and how far it is: in the journal, in the database.

Pure: no thread, clock, file or database. `registry.py` guards it with a lock and does the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from bgrscrpt_ioc.events import Severity
from bgrscrpt_ioc.registry.dbtrouble import short
from bgrscrpt_ioc.registry.pvrows import brief, clean, fitting, name_refusal
from bgrscrpt_ioc.registry.wanted import Run, Wanted

NOT_CALLED = "not registered: the script has not called register_ioc_start"


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """REGISTERED, REGISTRY:MSG (at most 255 bytes of UTF-8) and the alarm of both."""

    registered: bool
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """One row of `iocrt`; times are aware, `stopped` is None while it runs."""

    name: str
    running: bool
    pid: int | None
    started: datetime | None
    stopped: datetime | None
    exe_path: str


@dataclass(eq=False, slots=True)
class Entry:
    """One thing wanted. A new wish for the name is a new entry, so a late answer harms nothing."""

    wanted: Wanted
    remark: str = ""  # what had to be left out
    refusal: str = ""  # why the database will never take it
    written: bool = False  # the database has it
    saved: bool | None = None  # the value of `written` that the journal has

    @property
    def name(self) -> str:
        """The IOC name."""
        return self.wanted.ioc_name

    @property
    def pending(self) -> bool:
        """The database should have it and does not."""
        return not self.written and not self.refusal

    @property
    def done(self) -> bool:
        """Nothing is left to do or to remember."""
        return self.written and self.saved is True and self.wanted.stopped is not None


class Ledger:
    """The newest entry of each IOC name."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._refused: dict[str, str] = {}  # IOC names that cannot be, and why

    def register(self, ioc_name: str, instance: str, run: Run) -> str:
        """A script registered: this run is wanted now. Returns what was refused, or nothing."""
        name = clean(ioc_name)
        if refusal := name_refusal(name):
            text = f"not registered: IOC name {brief(name)} refused: {refusal}"
            self._refused[name] = text
            return text
        rows, warnings = fitting(run.pvs)
        run = replace(run, exe_path=clean(run.exe_path), pvs=rows)
        # To the end: of two names that ask for one PV, the later has it.
        self._entries.pop(name, None)
        self._entries[name] = Entry(Wanted(name, instance, run), "; ".join(warnings))
        return self._entries[name].remark

    def stop(self, ioc_name: str, when: float) -> bool:
        """The script of this name is gone; false when none had registered."""
        name = clean(ioc_name)
        self._refused.pop(name, None)
        entry = self._entries.get(name)
        if entry is None or entry.wanted.stopped is not None:
            return False
        run = None if entry.written else entry.wanted.run
        self._entries[name] = Entry(replace(entry.wanted, run=run, stopped=when))
        return True

    def recover(
        self, names: Iterable[str], left: Iterable[tuple[Wanted, bool]], when: float
    ) -> None:
        """Take over what a dead IOC left; what its scripts left running stopped, at the latest now.

        Args:
            names: the instances; their rows may say running though the journal knows nothing.
            left: (wanted, written) of the journal.
            when: the stop time where none is known, seconds since the epoch.
        """
        known = {name: Wanted(name, name, None, when) for name in names}
        for wanted, written in sorted(left, key=_began):
            run = None if written else wanted.run
            stopped = when if wanted.stopped is None else wanted.stopped
            known[wanted.ioc_name] = replace(wanted, run=run, stopped=stopped)
        for name, wanted in known.items():
            if name not in self._entries and not name_refusal(name):  # the scripts of now are newer
                self._entries[name] = Entry(wanted)

    def pending(self) -> list[Entry]:
        """What the database does not have yet."""
        return [entry for entry in self._entries.values() if entry.pending]

    def unsaved(self) -> list[Entry]:
        """What the journal does not have yet."""
        return [entry for entry in self._entries.values() if entry.saved is not entry.written]

    def answered(self, entry: Entry, refusal: str, warnings: list[str]) -> None:
        """The database has the entry now, or has refused it; less the warnings."""
        entry.refusal, entry.written = refusal, not refusal
        entry.remark = "; ".join(filter(None, [entry.remark, *warnings]))
        newest = self._entries.get(entry.name)
        # It has stopped while its start was being written: only the stop is left to write.
        if newest and newest is not entry and newest.wanted.run is entry.wanted.run:
            newest.wanted = replace(newest.wanted, run=None)
            newest.saved = None

    def entries(self) -> list[Entry]:
        """All of them."""
        return list(self._entries.values())

    def forget_done(self) -> None:
        """Drop what needs no memory."""
        self._entries = {name: entry for name, entry in self._entries.items() if not entry.done}

    def status(self, ioc_name: str, trouble: str) -> RegistryStatus:
        """How far this name is.

        Args:
            ioc_name: as in `register`.
            trouble: what is wrong with the database now, or nothing.
        """
        name = clean(ioc_name)
        if refusal := self._refused.get(name):
            return RegistryStatus(False, short(refusal), Severity.MINOR)
        entry = self._entries.get(name)
        if entry is None:
            return RegistryStatus(False, NOT_CALLED, Severity.NO_ALARM)
        live = entry.wanted.stopped is None
        if entry.pending and trouble:
            return RegistryStatus(False, short(trouble), Severity.MINOR)
        if entry.refusal:
            return RegistryStatus(False, short(f"not registered: {entry.refusal}"), Severity.MINOR)
        if not live:
            return RegistryStatus(False, NOT_CALLED, Severity.NO_ALARM)
        text = "registered" if entry.written else "registering"
        if entry.remark:
            text += f"; {entry.remark}"
        return RegistryStatus(entry.written, short(text), Severity.NO_ALARM)


def _began(left: tuple[Wanted, bool]) -> float:
    run = left[0].run
    return run.started if run else 0.0
