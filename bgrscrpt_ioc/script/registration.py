"""Registers an instance in the IOC registry: the script's calls, and how far they are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.output.output import Publish
from bgrscrpt_ioc.process.messages import Registered
from bgrscrpt_ioc.registry.pvrows import PvRow, pv_rows
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.script.paced import Paced

MAX_NAMES = 20  # other names than its own that an instance may register while the IOC lives
MAX_PVS = 1000  # of one call
MAX_WARNINGS = 5  # of one call; further warnings are counted
EVERY = 1.0  # s between two registrations of one name; the newest call counts


class Registration:
    """The registration of one instance, run after run."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        own_pvs: Callable[[], Sequence[PvRow]],
        publish: Publish,
    ) -> None:
        """Prepare. `own_pvs()` are registered in addition to the PVs of a call."""
        self._name, self._registry = name, registry
        self._own_pvs, self._publish = own_pvs, publish
        self._names: dict[str, int] = {}  # the names that the run has registered, with their pids
        self._calls = {name: Paced(EVERY)}  # by each name that was ever registered
        self._said: set[str] = set()  # the warnings that the run has had
        # The newest call's PVs, and the rows and warnings that they have given.
        self._last_text = ""
        self._last: tuple[Sequence[PvRow], Sequence[str]] = (), ()
        self._newest: Callable[[], None] | None = None  # the run's last call for its own name

    def register(
        self, call: Registered, *, pid: int, started: float, warn: Callable[[str], None]
    ) -> None:
        """Register what a script with this pid passed to `register_ioc_start`.

        `warn` hears what is odd.

        Of many calls for one name, only the newest is carried out.
        """
        if call.ioc_name not in self._calls:
            if call.ioc_name != self._name and len(self._calls) > MAX_NAMES:
                self._warn_once(
                    warn,
                    "register_ioc_start: further names are not registered: the IOC takes"
                    f" {MAX_NAMES} other names of {self._name} until it is started again",
                )
                return
            self._calls[call.ioc_name] = Paced(EVERY)
        again = partial(self._register, call, pid, started, warn)
        if call.ioc_name == self._name:
            self._newest = again
        self._calls[call.ioc_name].ask(again)

    def pvs_changed(self) -> None:
        """Register the new PVs of the instance, if the run has registered the instance."""
        if self._newest is not None:
            self._calls[self._name].ask(self._newest)

    def _register(
        self, call: Registered, pid: int, started: float, warn: Callable[[str], None]
    ) -> None:
        rows, warnings = self._prepared(call)
        if call.ioc_name != self._name:
            self._warn_once(
                warn, f"registered as {call.ioc_name}, but the instance {self._name} runs it"
            )
        for warning in warnings:
            self._warn_once(warn, f"register_ioc_start: {warning}")
        self._names[call.ioc_name] = pid
        self._registry.register(
            call.ioc_name,
            pid=pid,
            exe_path=call.exe_path,
            started=started,
            pvs=[*self._own_pvs(), *rows],
            instance=self._name,
        )
        self.show()

    def _prepared(self, call: Registered) -> tuple[Sequence[PvRow], Sequence[str]]:
        """Return the rows of a call, and what is wrong with them. 900 rows take 6 ms.

        A script that calls in a loop mostly calls with the same PVs.
        """
        text = repr((call.pv_database, call.prefix))  # to == 1, 1.0 and True are the same
        if self._last_text != text:
            rows, warnings = pv_rows(call.pv_database, call.prefix)
            if len(rows) > MAX_PVS:
                first = f"{len(rows)} PVs: the IOC registers the first {MAX_PVS} of a call"
                warnings = [first, *warnings]
            if len(warnings) > MAX_WARNINGS:
                left_out = (
                    f"{len(warnings) - MAX_WARNINGS} more warnings of this call were left out"
                )
                warnings = [*warnings[:MAX_WARNINGS], left_out]
            self._last = [_visible(each) for each in rows[:MAX_PVS]], warnings
            self._last_text = text
        return self._last

    def _warn_once(self, warn: Callable[[str], None], text: str) -> None:
        """Warn a run once of each thing, and of a bounded number of things."""
        if text not in self._said and len(self._said) < MAX_NAMES + 4 * MAX_WARNINGS:
            self._said.add(text)
            warn(text)

    def began(self) -> None:
        """Begin a run: its script has registered nothing yet."""
        self._registry.began(self._name)
        self.show()

    def ended(self) -> None:
        """End a run: what its script registered does not run any more."""
        self._newest = None
        for call in self._calls.values():
            call.flush()
        self._said.clear()
        names, self._names = self._names, {}
        for name, pid in names.items():
            self._registry.stopped(name, time.time(), instance=self._name, pid=pid)
        self.show()

    def show(self) -> None:
        """Publish how far the registry is with this instance."""
        status = self._registry.status(self._name)
        self._publish("REGISTERED", int(status.registered), status.severity)
        self._publish("REGISTRY:MSG", status.message, status.severity)


def _visible(row: PvRow) -> PvRow:
    """Return the row without control characters."""
    infos = {visible(name): visible(value) for name, value in row.infos.items()}
    return PvRow(visible(row.name), visible(row.record_type), visible(row.desc), infos)
