"""What the registry should have of an IOC name, and what that means for the row that it has now.

Pure: no thread, clock, file or database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from bgrscrpt_ioc.registry.pvrows import PvRow

Ident = tuple[int | None, int]  # identifies a row: the script's pid and its start in whole seconds


@dataclass(frozen=True, slots=True)
class RegisteredRun:
    """One run of a script that registered.

    `started` and `registered` are seconds since the epoch.
    """

    pid: int
    exe_path: str
    started: float
    pvs: tuple[PvRow, ...]
    registered: float = 0.0  # 0: not known

    @property
    def kept_pid(self) -> int | None:
        """Return the pid as an INT column can hold it."""
        return self.pid if 0 < self.pid < 2**31 else None

    @property
    def ident(self) -> Ident:
        """Return what identifies the row of this run."""
        return self.kept_pid, int(self.started)


@dataclass(frozen=True, slots=True)
class Claim:
    """The registration of one IOC name by one run of an instance's script.

    `stopped` is when the run ended, in seconds since the epoch; None while it lives. `earlier` has
    the rows of earlier runs that the registry may still show as running.
    """

    ioc_name: str
    instance: str
    run: RegisteredRun
    stopped: float | None = None
    earlier: tuple[Ident, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """One row of `iocrt`. Its times have a zone; `stopped` is None while the script runs."""

    name: str
    running: bool
    pid: int | None
    started: datetime | None
    stopped: datetime | None
    exe_path: str


@dataclass(frozen=True, slots=True)
class Found:
    """The row that the registry has now; `started` is in whole seconds since the epoch."""

    pid: int | None
    started: int | None
    running: bool


class Step(Enum):
    """What to do with a row."""

    WRITE = "write the run, and its PVs, in place of the row"
    STOP = "set the row to stopped"
    LEAVE = "leave the row as it is"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the registry should have of one IOC name, and which rows may be changed for it.

    `run` without `stopped`: the script runs. With both: it has run. `stopped` alone: only rows that
    an earlier IOC has left are stopped.
    """

    ioc_name: str
    instance: str  # the instance of the run
    run: RegisteredRun | None
    stopped: float | None = None
    takes: bool = False  # a new registration takes over any row
    ours: tuple[Ident, ...] = ()  # rows of the runs of this IOC and of an earlier one
    before: float | None = None  # when this IOC began: a row that began later is of no earlier IOC
    sweep: bool = False  # stop running rows of an earlier time, if their processes do not live
    others: frozenset[Ident] = frozenset()  # rows of IOCs that share the journal's directory

    def step(self, row: Found | None, process_lives: Callable[[int | None, int], bool]) -> Step:
        """Return what to do with the row.

        Args:
            row: None if there is no row.
            process_lives: whether the process of a row, with this pid and start, still runs.
        """
        run, lives = self.run, self.stopped is None
        if row is None:
            return Step.LEAVE if run is None else Step.WRITE
        if run is not None and lives and self.takes:
            return Step.WRITE
        ours = any(self._is(row, ident) for ident in self.ours)
        if ours or self._is_left_running(row, process_lives):
            if run is None or (self._is(row, run.ident) and not lives and not self.takes):
                return Step.STOP
            older = row.started is None or row.started <= run.ident[1]
            # What is wanted is newer than all rows of ours, whichever of the runs began first.
            return Step.WRITE if lives or ours or older else Step.STOP
        if row.running or run is None:  # it belongs to another IOC, or is stopped already
            return Step.LEAVE
        older = row.started is None or row.started < run.ident[1]
        return Step.WRITE if lives or older else Step.LEAVE

    def _is_left_running(
        self, row: Found, process_lives: Callable[[int | None, int], bool]
    ) -> bool:
        if not self.sweep or not row.running or (row.pid, row.started) in self.others:
            return False
        if row.started is None:
            return True
        return self._is_left(row.started) and not process_lives(row.pid, row.started)

    def _is(self, row: Found, ident: Ident) -> bool:
        pid, started = ident
        if row.pid != pid or row.started is None:
            return False
        # A TIMESTAMP may change with each update by another program.
        return row.started == started or (
            pid is not None and row.started > started and self._is_left(row.started)
        )

    def _is_left(self, started: int) -> bool:
        return self.before is None or started < int(self.before)
