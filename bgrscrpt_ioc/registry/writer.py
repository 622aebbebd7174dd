"""The writer: a thread that writes the registry's database, while there is something to write."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from bgrscrpt_ioc.config.masking import masked
from bgrscrpt_ioc.host.faults import FAULT, Faults
from bgrscrpt_ioc.registry.attempts import Attempts
from bgrscrpt_ioc.registry.dbtrouble import RegistryError, RowRefusedError
from bgrscrpt_ioc.registry.entries import Answer, Entry
from bgrscrpt_ioc.registry.ledger import Ledger
from bgrscrpt_ioc.registry.threads import lives, started
from bgrscrpt_ioc.registry.times import Times

if TYPE_CHECKING:  # SQLAlchemy takes longer to import than the rest of the IOC
    from bgrscrpt_ioc.registry.dbconnection import IocDb
    from bgrscrpt_ioc.registry.iocdb import DbSession

log = logging.getLogger("bgrscrpt_ioc.registry")


class RegistryWriter:
    """The writer of one database. The condition `changed` guards the ledger and the attempts."""

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        attempts: Attempts,
        changed: threading.Condition,
        times: Times,
        *,
        answered: Callable[[], None],
        tell: Callable[[Iterable[str]], None],
        say: Callable[[int, str], None],
    ) -> None:
        """Prepare; no thread runs yet. The writer's thread makes all three calls.

        Args:
            url: URL of the database.
            ledger: what is wanted in the database.
            attempts: when the database is tried next.
            changed: guards both; it is notified when one of them has changed.
            times: how long to wait for the database.
            answered: is called after each answer of the database, with `changed` held.
            tell: is called with the instances whose status may have changed.
            say: writes a line to the IOC's log at a level, unless the log has it already.
        """
        self._url, self._times = url, times
        self._ledger, self._attempts, self._changed = ledger, attempts, changed
        self._answered, self._tell, self._say = answered, tell, say
        self._db: IocDb | None = None
        self._closing = False
        self._last_try = False  # the last try after `close` has begun
        self._failures = Counter[str]()  # by IOC name, since all was written
        self._faults = Faults("the registry")
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread if there is something to write; the caller holds `changed`."""
        if not lives(self._thread) and self._ledger.pending():
            self._thread = started(self._write, "registry")

    def close(self) -> None:
        """Try once more and then end the thread; the caller holds `changed` and notifies it."""
        self._closing = True

    def join(self, end: float) -> None:
        """Wait until the thread has ended, until `end` (monotonic clock) at most."""
        with self._changed:
            thread = self._thread
        if thread is not None:
            thread.join(max(0.0, end - time.monotonic()))

    def _write(self) -> None:
        while batch := self._due():
            problem = FAULT
            with self._faults:
                problem = self._bring_all(batch)
            if problem:
                self._away(problem)
            else:
                self._back()

    def _due(self) -> list[Entry]:
        """Wait until entries may be tried, and return them; an empty list ends the thread."""
        with self._changed:
            while pending := self._ledger.pending():
                delay = self._attempts.left(time.monotonic())
                if self._closing and self._last_try:
                    break
                if self._closing or delay <= 0:
                    self._last_try = self._closing
                    return pending
                self._changed.wait(delay)
            self._thread = None
            return []

    def _bring_all(self, batch: Iterable[Entry]) -> str:
        """Write a batch; return what went wrong, or nothing when the database has all of it."""
        tried = ""
        try:
            with self._database().session() as session:
                # What has failed comes last: the fault may be in the entry, not in the database.
                for entry in sorted(batch, key=lambda each: self._failures[each.name]):
                    tried = entry.name
                    self._bring(session, entry)
        except RegistryError as error:
            self._failures[tried] += 1
            return str(error)
        self._failures.clear()
        return ""

    def _database(self) -> IocDb:
        if self._db is None:
            try:
                from bgrscrpt_ioc.registry.dbconnection import IocDb  # see TYPE_CHECKING above

                self._db = IocDb(self._url, times=self._times)
                # Else each full collection looks at all of SQLAlchemy, and nobody is answered.
                gc.freeze()
            except ImportError as error:
                raise RegistryError(f"pip install SQLAlchemy PyMySQL: {error}") from error
            except OSError as error:  # no descriptor for its files: later there may be one
                raise RegistryError(f"SQLAlchemy cannot be loaded now: {error}") from error
        return self._db

    def _bring(self, session: DbSession, entry: Entry) -> None:
        with self._changed:
            if entry not in self._ledger.entries():
                return  # a newer wish has come meanwhile
            self._ledger.trying(entry)
        try:
            answer = session.bring(entry.wanted)
        except RowRefusedError as error:
            answer = Answer(refusal=str(error))
        with self._changed:
            concerned = self._ledger.concerned(entry)
            self._ledger.answered(entry, answer)
            self._answered()
        for line in filter(None, [answer.refusal, answer.taken, *answer.warnings]):
            self._say(logging.WARNING, f"{entry.name}: {line}")
        self._tell(concerned)

    def _away(self, problem: str) -> None:
        """Note that the database cannot be used now; the next try is later each time."""
        with self._changed:
            self._attempts.failed(problem, time.monotonic())
            waiting = self._ledger.concerned(*self._ledger.pending())
        self._say(logging.ERROR, problem)
        self._tell(waiting)

    def _back(self) -> None:
        """Note that the database answers."""
        with self._changed:
            was_away = self._attempts.succeeded()
        if was_away:
            log.info("registry: it answers again: %s", masked(self._url))
