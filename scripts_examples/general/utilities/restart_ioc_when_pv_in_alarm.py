"""A watchdog: restarts IOCs when a block is in an error state, and sees that it has helped.

Has the interface of ISIS's script of this name, and puts the same PVs; decides nothing itself (see
_restart_policy.py) and prints a line for each event, none for each poll.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Event

from _worker_thread import WorkerThread
from general.utilities._instrument_pvs import instrument_pvs, restart_of
from general.utilities._restart_policy import SEVERITIES, Restart, RestartPolicy, Rules

try:
    import bgrscrpt
except ImportError:  # run by hand, without the package
    bgrscrpt = None


class StoppableThread(WorkerThread):
    """Watches until `stop()`; `restarts` says how often it has restarted something.

    When it fails, the whole script ends as a failure: a script whose watchdog is dead must not
    look alive.
    """

    def __init__(self, rules: Rules, wait_for_polling: float) -> None:
        super().__init__(f"watchdog of {rules.block}")
        self._policy = RestartPolicy(rules)
        self._pvs = instrument_pvs(rules.block, list(rules.iocs))
        self._wait_for_polling = wait_for_polling
        self._end = Event()

    @property
    def restarts(self) -> int:
        """Restarts until now."""
        return self._policy.restarts

    def stop(self) -> None:
        """Ask it to end; it does at once, or when what it reads has answered."""
        self._end.set()

    def work(self) -> None:
        """Poll; each poll that comes to its end is a heartbeat."""
        self._pvs.connect()
        while not self._end.is_set():
            self._poll()
            if bgrscrpt is not None:
                bgrscrpt.alive()
            self._end.wait(self._wait_for_polling)

    def _poll(self) -> None:
        statuses = {ioc: self._pvs.status(ioc) for ioc in self._policy.rules.iocs}
        for action in self._policy.step(time.monotonic(), self._pvs.block(), statuses):
            if not isinstance(action, Restart):
                _say(f"ALARM: {action.text}" if action.alarm else action.text)
            elif why := self._pvs.restart(action.ioc):
                name = self._pvs.prefix + restart_of(action.ioc)
                _say(f"{action.ioc} cannot be restarted: {name} {why}")


def restart_ioc_when_pv_in_alarm(
    block_to_monitor: str,
    iocs_to_restart: list[str],
    error_states: Iterable[object],
    wait_between_restarts: float = 120,
    wait_for_polling: float = 10,
    severities: Iterable[str] = (),
    max_restarts: int = 5,
) -> StoppableThread:
    """Restart IOCs whenever a block is in an error state. Returns at once.

    Args:
        block_to_monitor: the block's name, without `CS:SB:`.
        iocs_to_restart: names of IOCs, as in `CS:PS:<name>:RESTART`.
        error_states: values of the block that are errors.
        wait_between_restarts: s from one restart to the next, at least; also what a block must
            have been well for until earlier restarts are forgotten.
        wait_for_polling: s from one look at the block to the next.
        severities: alarm severities that are errors, whatever the value: `["INVALID"]`.
        max_restarts: give up after so many in a row that did not help.

    Returns:
        The thread that does it; `stop()` ends it.

    Raises:
        ValueError: there is nothing to watch for, or nothing to restart.
    """
    rules = Rules(
        block_to_monitor,
        _listed("iocs_to_restart", iocs_to_restart),
        _listed("error_states", error_states),
        _listed("severities", severities),
        wait_between_restarts,
        max_restarts,
    )
    if not rules.iocs:
        raise ValueError("iocs_to_restart is empty: name at least one IOC")
    if not rules.error_states and not rules.severities:
        raise ValueError("error_states and severities are both empty: name what is an error")
    if unknown := set(rules.severities) - set(SEVERITIES[1:]):
        raise ValueError(f"severities: {sorted(unknown)} are none of {SEVERITIES[1:]}")
    thread = StoppableThread(rules, wait_for_polling)
    thread.start()
    return thread


def _listed(name: str, values: Iterable[object]) -> tuple:
    if isinstance(values, str):  # each of its letters would be taken for one
        raise ValueError(f"{name} is {values!r}: make it a list, [{values!r}]")  # noqa: TRY004
    return tuple(values)


def _say(text: str) -> None:
    print(text, flush=True)
    if bgrscrpt is not None:
        bgrscrpt.message(text)
