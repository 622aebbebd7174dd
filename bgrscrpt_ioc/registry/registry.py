"""Registers scripts in the instrument's IOC registry, and tells how far each registration is.

No caller waits for a database or a disk. Two threads do: the writer of the database (writer.py) and
the keeper of the journal (keeper.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from bgrscrpt_ioc.config.masking import masked
from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.registry.attempts import Attempts
from bgrscrpt_ioc.registry.dbtrouble import RegistryError, short
from bgrscrpt_ioc.registry.entries import RegistryStatus
from bgrscrpt_ioc.registry.journal import Journal, Left
from bgrscrpt_ioc.registry.keeper import RegistryKeeper
from bgrscrpt_ioc.registry.ledger import Ledger
from bgrscrpt_ioc.registry.pvrows import PvRow, pv_rows
from bgrscrpt_ioc.registry.reading import nothing_yet, read_instances, read_table
from bgrscrpt_ioc.registry.times import USUAL, Times
from bgrscrpt_ioc.registry.wanted import RegisteredRun, RegistryRow
from bgrscrpt_ioc.registry.writer import RegistryWriter

__all__ = [
    "PvRow",
    "Registry",
    "RegistryError",
    "RegistryRow",
    "RegistryStatus",
    "Times",
    "masked",
    "pv_rows",
    "read_instances",
    "read_table",
]

log = logging.getLogger("bgrscrpt_ioc.registry")


class Registry:
    """What one IOC registers: at most two threads and one connection; none when all is written.

    There are two threads because a database that hangs must not keep the journal from the disk.
    """

    def __init__(
        self,
        url: str,
        state_dir: Path,
        on_change: Callable[[str], None],
        *,
        prefix: str = "",
        times: Times = USUAL,
    ) -> None:
        """Prepare; nothing is read, imported or started yet.

        Args:
            url: `sqlite:////path` or `mysql+pymysql://user:password@host/iocdb`; `status` tells
                what is
                wrong with it.
            state_dir: the journal is kept in its directory `registry`, which IOCs may share.
            on_change: called from a thread of the registry with an instance whose status has
                changed.
            prefix: prefix of the PVs: IOCs of several prefixes may have instances of one name.
            times: how long the registry waits for what.
        """
        self._url = url
        self._on_change = on_change
        self._changed = threading.Condition()  # guards all below
        self._ledger = Ledger()
        self._attempts = Attempts(times)
        self._closing = False
        self._keeper = RegistryKeeper(
            Journal(state_dir / "registry", prefix),
            self._ledger,
            self._changed,
            times.journal_retry,
            recovered=self._recovered,
            state=self._journal_is,
        )
        self._writer = RegistryWriter(
            url,
            self._ledger,
            self._attempts,
            self._changed,
            times,
            answered=self._keeper.start,
            tell=self._tell,
            say=self._log_once,
        )
        self._faults = Faults("the registry")

    # --- what the IOC calls: at once, from any thread --------------------------------------------

    def began(self, instance: str) -> None:
        """Begin a run of an instance, which has registered nothing yet."""
        with self._changed:
            self._ledger.began(instance)

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
        """Register a script; this replaces all that was registered under the name before.

        If something is refused at once, such as a name that is too long, `status` tells it at once.

        Args:
            ioc_name: the name in the call.
            pid: pid of the script.
            exe_path: its `sys.argv[0]`.
            started: seconds since the epoch.
            pvs: the PVs of the instance and of the call; of two with one name the later counts.
            instance: the instance of the script, if its name is not `ioc_name`.
        """
        run = RegisteredRun(pid, exe_path, started, tuple(pvs), time.time())
        with self._changed:
            if self._closing:
                return
            remark = self._ledger.register(ioc_name, instance or ioc_name, run)
            self._attempts.hurry()
            self._start_threads()
        if remark:
            self._log_once(logging.WARNING, f"{short(ioc_name)}: {short(remark, 1000)}")

    def stopped(
        self, ioc_name: str, when: float, *, instance: str | None = None, pid: int | None = None
    ) -> None:
        """End what one run registered; the row of another run stays.

        Args:
            ioc_name: the name that it registered.
            when: seconds since the epoch.
            instance: the instance of the script, if its name is not `ioc_name`.
            pid: pid of the script; None for any script of the instance.
        """
        with self._changed:
            if not self._closing and self._ledger.stop(ioc_name, when, instance or ioc_name, pid):
                self._start_threads()

    def reconcile(self, names: Sequence[str], when: float) -> None:
        """Finish, when the IOC starts, what a dead IOC has left running or unwritten.

        Args:
            names: the instances of this IOC. Rows of other names stay as they are, except for names
                that a script of these instances registered.
            when: the stop time if the true one is not known, seconds since the epoch.
        """
        with self._changed:
            if not self._closing:
                self._ledger.expect()
                self._keeper.recover(names, when)
                self._attempts.settle(time.monotonic())
                self._start_threads()

    def status(self, instance: str) -> RegistryStatus:
        """Return how far the registration of this instance's script is now."""
        with self._changed:
            status = self._ledger.status(instance, self._attempts.trouble)
            if not self._keeper.trouble:
                return status
            text = short(f"{status.message}; {self._keeper.trouble}")
            return RegistryStatus(status.registered, text, status.severity)

    def close(self, timeout: float) -> None:
        """Write what can be written within `timeout` seconds; the rest stays in the journal.

        It blocks for that time at most, so an event loop calls it in a thread. Later calls do
        nothing.
        """
        end = time.monotonic() + timeout
        with self._changed:
            self._closing = True
            self._writer.close()
            self._changed.notify_all()
        # Twice, because the keeper may start the writer for what an earlier IOC left.
        for _ in range(2):
            # A fifth of the time is for the journal, which must learn what was written.
            self._writer.join(end - timeout / 5)
            self._keeper.close(end)

    # --- threads: each lives while it has work ----------------------------------------------------

    def _start_threads(self) -> None:
        self._keeper.start()
        self._writer.start()
        self._changed.notify_all()

    def _recovered(self, names: Sequence[str], found: Left, when: float) -> None:
        """Take over, in the keeper's thread, what the journal has."""
        with self._changed:
            swept = () if nothing_yet(self._url) else names
            self._ledger.recover(swept, found.claims, found.others, when)
            self._start_threads()
        for problem in found.problems:
            self._log_once(logging.ERROR, problem)

    def _journal_is(self, problems: Sequence[str], *, news: bool) -> None:
        """Log, in the keeper's thread, what is wrong with the journal."""
        for problem in problems:
            self._log_once(logging.ERROR, problem)
        if news:
            with self._changed:
                concerned = self._ledger.concerned(*self._ledger.entries())
            self._tell(concerned)

    def _log_once(self, level: int, line: str) -> None:
        with self._changed:
            news = self._attempts.is_news(line)
        if news:
            log.log(level, "registry: %s", line)

    def _tell(self, instances: Iterable[str]) -> None:
        for instance in instances:
            # The IOC's event loop may be closed; then nobody needs to know.
            with self._faults, suppress(RuntimeError):
                self._on_change(instance)
