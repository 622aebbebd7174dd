"""Carries out what clients put to a record: commands, which are Busy until done, and switches.

Every put is completed exactly once, whatever happens. What a put means is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from bgrscrpt_ioc.host.faults import FAULT
from bgrscrpt_ioc.lifecycle.events import CommandFailed, Severity
from bgrscrpt_ioc.records.alarm import AlarmStatus

DONE, BUSY = 0, 1

log = logging.getLogger("bgrscrpt_ioc.records")

Action = Callable[[Any, str], Coroutine[Any, Any, None]]
Completed = Callable[[str], None]  # called with "", or the reason why the put failed


class Target(Protocol):
    """The record to which clients put."""

    name: str
    value: Any
    severity: Severity

    def post(self, value: Any, severity: Severity = ..., status: AlarmStatus | None = ...) -> None:
        """Store a new value and alarm."""
        ...


class Puts:
    """The puts to one record. `action(value, by)` returns when what was put is reached.

    If that fails, `action` raises `CommandFailed`. The put then fails, and the record is in a WRITE
    alarm until the next success: most clients show that, and pyepics' put(wait=True) ignores the
    failure.
    """

    __slots__ = ("_action", "_going", "record")

    def __init__(self, record: Target, action: Action) -> None:
        """Carry out puts to the record by `action`."""
        self.record, self._action = record, action
        self._going: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Return how many puts have not ended."""
        return len(self._going)

    def begin(self, value: Any, by: str, completed: Completed) -> None:
        """Begin a put in the next turn of the event loop. The caller has checked the value."""
        task = asyncio.get_running_loop().create_task(self._action(value, by))
        self._going.add(task)
        task.add_done_callback(partial(self._end, completed))

    async def cancel(self) -> None:
        """Give up the put in progress; it and those that wait fail."""
        going = tuple(self._going)
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    def _end(self, completed: Completed, task: asyncio.Task[None]) -> None:
        self._going.discard(task)
        failure = ""
        if task.cancelled():
            failure = "the IOC is ending"
        elif (error := task.exception()) is not None:
            failure = str(error) or "no reason is known"
            if not isinstance(error, CommandFailed):
                failure = FAULT
                log.error("%s: a fault of the IOC: %r", self.record.name, error, exc_info=error)
        self._ended(Severity.MAJOR if failure else Severity.NO_ALARM)
        completed(failure)

    def _ended(self, severity: Severity) -> None:
        self.record.post(self.record.value, severity, AlarmStatus.WRITE)


class BusyPuts(Puts):
    """`Done` and `Busy` as in synApps' busy record; a put of 0 does nothing."""

    __slots__ = ()

    def begin(self, value: Any, by: str, completed: Completed) -> None:
        """Be Busy from now on; a put of 0 is complete at once."""
        if value == DONE:
            completed("")
            return
        super().begin(value, by, completed)
        self.record.post(BUSY, self.record.severity, AlarmStatus.WRITE)

    def _ended(self, severity: Severity) -> None:
        self.record.post(BUSY if self._going else DONE, severity, AlarmStatus.WRITE)


class ForwardedPuts(Puts):
    """Puts to a PV of a script: each is passed to the script, which says how it ended.

    `forward(value, by, completed)` passes one on.
    """

    __slots__ = ("_forward", "_give_up", "waiting")

    def __init__(
        self,
        record: Target,
        forward: Callable[[Any, str, Completed], None],
        give_up: Callable[[str], None],
    ) -> None:
        """Prepare; `give_up(why)` completes all puts that wait, as failed."""
        self.record, self._forward, self._give_up = record, forward, give_up
        self.waiting = 0

    @property
    def pending(self) -> int:
        """Return how many puts have not ended."""
        return self.waiting

    def begin(self, value: Any, by: str, completed: Completed) -> None:
        """Pass a put on."""
        self.waiting += 1
        self._forward(value, by, partial(self._completed, completed))

    def _completed(self, completed: Completed, failure: str) -> None:
        self.waiting -= 1
        completed(failure)

    async def cancel(self) -> None:
        """Give up the puts that wait."""
        self._give_up("the IOC is ending")
