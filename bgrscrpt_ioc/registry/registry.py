"""Keeps the instrument's registry true to what the scripts asked for, and says how far it is.

Nothing here makes a caller wait for a database or a disk: that is for two threads of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bgrscrpt_ioc.registry.dbtrouble import RegistryError, RowRefusedError, masked, short
from bgrscrpt_ioc.registry.ledger import Entry, Ledger, RegistryRow, RegistryStatus
from bgrscrpt_ioc.registry.pvrows import PvRow, pv_rows
from bgrscrpt_ioc.registry.wanted import Journal, JournalError, Run

if TYPE_CHECKING:  # SQLAlchemy takes longer to import than the rest of the IOC
    from bgrscrpt_ioc.registry.dbconnection import IocDb
    from bgrscrpt_ioc.registry.iocdb import Session

__all__ = [
    "PvRow",
    "Registry",
    "RegistryError",
    "RegistryRow",
    "RegistryStatus",
    "masked",
    "pv_rows",
    "read_table",
]

log = logging.getLogger("bgrscrpt_ioc.registry")

BACKOFF = 1.0  # s after the first failure; doubles
BACKOFF_MAX = 30.0  # s
SETTLE = 1.0  # s after the start of the IOC: the rows of a dead one are not worth a slower start
JOURNAL_RETRY = 5.0  # s


class Registry:
    """The writer of one IOC: at most two threads and one connection, and none when all is written.

    Two, because a database that hangs must not keep what is wanted off the disk.
    """

    def __init__(self, url: str, state_dir: Path, on_change: Callable[[str], None]) -> None:
        """Remember where; nothing is read, imported or started yet.

        Args:
            url: `sqlite:////path` or `mysql+pymysql://user:password@host/iocdb`; `status` tells
                what is wrong with it.
            state_dir: the journal is kept in its directory `registry`; IOCs may share it.
            on_change: called from a thread of ours with an IOC name whose status has changed.
        """
        self._url = url
        self._journal = Journal(state_dir / "registry")
        self._on_change = on_change
        self._db: IocDb | None = None  # the writer's
        self._changed = threading.Condition()  # guards all below
        self._ledger = Ledger()
        self._recovery: tuple[Sequence[str], float] | None = None  # the keeper's first work
        self._trouble = ""  # of the database
        self._journal_trouble = ""
        self._told: set[str] = set()  # troubles that the log has, until the next success
        self._delay = 0.0  # s between two tries; 0 while the database answers
        self._next_try = 0.0  # monotonic
        self._closing = False
        self._last_try = False  # the one after closing began has begun
        self._keeper: threading.Thread | None = None  # of the journal
        self._writer: threading.Thread | None = None  # of the database

    # --- what the IOC calls: at once, from any thread --------------------------------------------

    def register(
        self,
        ioc_name: str,
        *,
        pid: int,
        exe_path: str,
        started: float,
        pvs: Sequence[PvRow],
        instance: str | None = None,
    ) -> None:
        """A script called `register_ioc_start`; this replaces all that was wanted of the name.

        What is refused at once, as a name too long, `status` tells at once.

        Args:
            ioc_name: the name of the call.
            pid: of the script.
            exe_path: its `sys.argv[0]`.
            started: seconds since the epoch.
            pvs: the instance's own and those of the call; of one name the later counts.
            instance: whose script it is, when not of `ioc_name`.
        """
        run = Run(pid, exe_path, started, tuple(pvs))
        with self._changed:
            if self._closing:
                return
            remark = self._ledger.register(ioc_name, instance or ioc_name, run)
            if not self._delay:
                self._next_try = 0.0
            self._start_threads()
        if remark:
            self._log_once(logging.WARNING, f"{short(ioc_name)}: {short(remark, 1000)}")

    def stopped(self, ioc_name: str, when: float) -> None:
        """The script of this name is gone since `when` (s since the epoch), if it registered."""
        with self._changed:
            if not self._closing and self._ledger.stop(ioc_name, when):
                self._start_threads()

    def reconcile(self, names: Sequence[str], when: float) -> None:
        """At the start of the IOC: finish what a dead one left running or unwritten.

        Args:
            names: the instances of this IOC. Rows of other names are left alone, but for those
                that a script of these instances registered.
            when: the stop time where the true one is not known, seconds since the epoch.
        """
        with self._changed:
            if not self._closing:
                self._recovery = (tuple(names), when)
                self._next_try = time.monotonic() + SETTLE
                self._start_threads()

    def status(self, ioc_name: str) -> RegistryStatus:
        """How far this name is; a snapshot."""
        with self._changed:
            status = self._ledger.status(ioc_name, self._trouble)
            if not self._journal_trouble:
                return status
            text = short(f"{status.message}; {self._journal_trouble}")
            return RegistryStatus(status.registered, text, status.severity)

    def close(self, timeout: float) -> None:
        """Write what can be written within `timeout` seconds; the rest stays in the journal.

        Blocks for that time at most: an event loop calls it in a thread. Later calls do nothing.
        """
        end = time.monotonic() + timeout
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            writer = self._writer
        if writer is not None:  # a fifth of the time is the journal's, which learns what is written
            writer.join(max(0.0, end - timeout / 5 - time.monotonic()))
        with self._changed:
            self._start_keeper()
            keeper = self._keeper
        if keeper is not None:
            keeper.join(max(0.0, end - time.monotonic()))

    # --- threads: each lives while it has work ----------------------------------------------------

    def _start_threads(self) -> None:
        self._start_keeper()
        if not _lives(self._writer) and self._ledger.pending():
            self._writer = _started(self._write, "registry")
        self._changed.notify_all()

    def _start_keeper(self) -> None:
        if not _lives(self._keeper) and (self._recovery or self._ledger.unsaved()):
            self._keeper = _started(self._keep, "registry-journal")

    def _keep(self) -> None:
        """The keeper: brings the journal to the ledger."""
        while True:
            with self._changed:
                recovery, self._recovery = self._recovery, None
                self._ledger.forget_done()
                unsaved = self._ledger.unsaved()
                if not recovery and not unsaved:
                    self._keeper = None
                    return
            if recovery:
                self._recover(*recovery)
            problems = list(filter(None, map(self._save, unsaved)))
            self._say_of_journal(problems)
            with self._changed:
                if problems and self._closing:
                    self._keeper = None
                    return
                if problems:
                    self._changed.wait(JOURNAL_RETRY)

    def _save(self, entry: Entry) -> str:
        """Returns what went wrong, or nothing."""
        written = entry.written
        try:
            self._journal.save(entry.wanted, written=written)
        except JournalError as error:
            return str(error)
        entry.saved = written
        return ""

    def _recover(self, names: Sequence[str], when: float) -> None:
        try:
            left, problems = self._journal.load(names)
        except JournalError as error:
            left, problems = [], [str(error)]
        with self._changed:
            self._ledger.recover(() if nothing_yet(self._url) else names, left, when)
            self._start_threads()
        for problem in problems:
            self._log_once(logging.ERROR, problem)

    def _write(self) -> None:
        """The writer: brings the database to the ledger."""
        while batch := self._due():
            try:
                with self._database().session() as session:
                    for entry in batch:
                        self._bring(session, entry)
            except RegistryError as error:
                self._away(str(error))
            else:
                self._back()

    def _due(self) -> list[Entry]:
        """Wait until something may be tried; nothing: the thread ends."""
        with self._changed:
            while pending := self._ledger.pending():
                delay = self._next_try - time.monotonic()
                if self._closing and self._last_try:
                    break
                if self._closing or delay <= 0:
                    self._last_try = self._closing
                    return pending
                self._changed.wait(delay)
            self._writer = None
            return []

    def _database(self) -> IocDb:
        if self._db is None:
            try:
                from bgrscrpt_ioc.registry.dbconnection import IocDb  # see TYPE_CHECKING above

                self._db = IocDb(self._url)
            except ImportError as error:
                raise RegistryError(f"pip install SQLAlchemy PyMySQL: {error}") from error
            except OSError as error:  # no descriptor for its files: later there may be
                raise RegistryError(f"SQLAlchemy cannot be loaded now: {error}") from error
        return self._db

    def _bring(self, session: Session, entry: Entry) -> None:
        refusal, warnings = "", []
        try:
            warnings = session.bring(entry.wanted)
        except RowRefusedError as error:
            refusal = str(error)
        with self._changed:
            self._ledger.answered(entry, refusal, warnings)
            self._start_keeper()
        for line in filter(None, [refusal, *warnings]):
            self._log_once(logging.WARNING, f"{entry.name}: {line}")
        self._tell([entry])

    def _away(self, problem: str) -> None:
        """The database cannot be used now: later, and later each time."""
        with self._changed:
            self._delay = min(2 * self._delay or BACKOFF, BACKOFF_MAX)
            self._next_try = time.monotonic() + self._delay
            self._trouble = f"{problem}; trying again in {self._delay:g} s"
            waiting = self._ledger.pending()
        self._log_once(logging.ERROR, problem)
        self._tell(waiting)

    def _back(self) -> None:
        with self._changed:
            was_away = bool(self._delay)
            self._delay, self._next_try, self._trouble = 0.0, 0.0, ""
            if was_away:
                self._told.clear()
        if was_away:
            log.info("registry: it answers again: %s", masked(self._url))

    def _say_of_journal(self, problems: Sequence[str]) -> None:
        with self._changed:
            changed = self._journal_trouble != (now := "; ".join(problems))
            self._journal_trouble = now
            entries = self._ledger.entries()
        for problem in problems:
            self._log_once(logging.ERROR, problem)
        if changed:
            self._tell(entries)

    def _log_once(self, level: int, line: str) -> None:
        with self._changed:
            if line in self._told:
                return
            self._told.add(line)
        log.log(level, "registry: %s", line)

    def _tell(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            with suppress(RuntimeError):  # the IOC's event loop is closed: nobody is left to know
                self._on_change(entry.name)


def nothing_yet(url: str) -> bool:
    """Is it a file of SQLite that nobody has made yet? Then no row in it waits to be reconciled.

    Told without SQLAlchemy, which an IOC whose scripts register nothing never imports.
    """
    scheme, _, path = url.partition(":///")
    return scheme == "sqlite" and not path.startswith(("file:", ":")) and not Path(path).exists()


def _started(work: Callable[[], None], name: str) -> threading.Thread | None:
    # A daemon: a database that hangs must not keep the IOC from ending.
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the system has none to give; the next call tries again
        log.error("the registry waits: %s", error)  # noqa: TRY400 - the trace says no more
        return None
    return thread


def _lives(thread: threading.Thread | None) -> bool:
    # One that died of a fault of ours has left its traceback; the next call goes on without it.
    return thread is not None and thread.is_alive()


def read_table(url: str) -> list[RegistryRow]:
    """All rows of the registry's `iocrt`, by name; makes and changes nothing.

    Raises:
        RegistryError: it cannot be read; the password is not in the text.
    """
    from bgrscrpt_ioc.registry.dbconnection import IocDb  # see TYPE_CHECKING above

    with IocDb(url, "read").session() as session:
        return session.table()
