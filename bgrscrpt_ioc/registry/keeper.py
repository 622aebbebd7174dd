"""The keeper: a thread that writes the registry's journal, while there is something to write."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Protocol

from bgrscrpt_ioc.host.faults import FAULT, Faults
from bgrscrpt_ioc.registry.journal import Journal, JournalError, Left
from bgrscrpt_ioc.registry.ledger import Ledger
from bgrscrpt_ioc.registry.threads import lives, started
from bgrscrpt_ioc.registry.wanted import Claim


class Recovered(Protocol):
    """Hears what an earlier IOC has left for these instances."""

    def __call__(self, names: Sequence[str], found: Left, when: float) -> None:
        """Hear what was found, and `when` this IOC began (s since the epoch)."""
        ...


class KeeperState(Protocol):
    """Hears what is wrong with the journal, and whether that is news."""

    def __call__(self, problems: Sequence[str], *, news: bool) -> None:
        """Hear the problems of the last try; no problem means that all is kept."""
        ...


class RegistryKeeper:
    """The keeper of one journal. The condition `changed` guards the ledger."""

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        changed: threading.Condition,
        retry: float,
        *,
        recovered: Recovered,
        state: KeeperState,
    ) -> None:
        """Prepare.

        Both calls are made in the keeper's thread; `retry` is the seconds between two tries.
        """
        self._journal, self._ledger, self._changed, self._retry = journal, ledger, changed, retry
        self._recovered, self._state = recovered, state
        self._recovery: tuple[Sequence[str], float] | None = None  # the first work of the thread
        self._closing = False
        self._faults = Faults("the registry's journal")
        self._thread: threading.Thread | None = None
        self.trouble = ""  # what is wrong with the journal; empty if nothing is

    def recover(self, names: Sequence[str], when: float) -> None:
        """Read first what an earlier IOC has left; the caller holds `changed`, and then starts."""
        waiting = self._recovery[0] if self._recovery else ()
        self._recovery = ((*waiting, *names), when)

    def start(self) -> None:
        """Start the thread if there is work; the caller holds `changed`."""
        if not lives(self._thread) and (self._recovery or self._ledger.unsaved()):
            self._thread = started(self._keep, "registry-journal")

    def close(self, end: float) -> None:
        """Wait until `end` (monotonic clock) while the thread keeps what it can."""
        with self._changed:
            self._closing = True
            self.start()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(max(0.0, end - time.monotonic()))

    def _keep(self) -> None:
        while True:
            with self._changed:
                recovery, self._recovery = self._recovery, None
                self._ledger.forget_done()
                unsaved = self._ledger.unsaved()
                if not recovery and not unsaved:
                    self._thread = None
                    return
            problems = [self._recover(*recovery)] if recovery else []
            problems = [*filter(None, (*problems, *(self._try_to_save(*each) for each in unsaved)))]
            with self._changed:
                news = self.trouble != (now := "; ".join(problems))
                self.trouble = now
            self._state(problems, news=news)
            with self._changed:
                if problems and self._closing:
                    self._thread = None
                    return
                if problems:
                    self._changed.wait(self._retry)

    def _recover(self, names: Sequence[str], when: float) -> str:
        """Return what went wrong, or nothing. After a fault it is tried again."""
        with self._faults:
            self._recovered(names, self._load(names), when)
            return ""
        with self._changed:
            self._recovery = names, when
        return f"what an earlier IOC left is not read: {FAULT}"

    def _try_to_save(self, key: tuple[str, str], claim: Claim | None) -> str:
        """Return what went wrong, or nothing.

        After a fault it is tried again; other files are saved.
        """
        with self._faults:
            return self._save(key, claim)
        return f"cannot keep {key[0]}: {FAULT}"

    def _load(self, names: Sequence[str]) -> Left:
        try:
            return self._journal.load(names)
        except JournalError as error:
            return Left((), frozenset(), (str(error),))

    def _save(self, key: tuple[str, str], claim: Claim | None) -> str:
        """Save or remove a file; return what went wrong, or nothing."""
        try:
            if claim is None:
                self._journal.forget(*key)
            else:
                self._journal.save(claim)
        except JournalError as error:
            return str(error)
        with self._changed:
            self._ledger.saved(key, claim)
        return ""
