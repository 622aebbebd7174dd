"""Records that clients write: commands, which are Busy until they are done, and switches.

Every put is completed exactly once, whatever happens. What a command does is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from caproto import AlarmStatus

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.kinds import Choice
from bgrscrpt_ioc.ca.records import Record
from bgrscrpt_ioc.events import CommandFailed, Severity

DONE, BUSY = 0, 1

log = logging.getLogger("bgrscrpt_ioc.ca.puts")

Action = Callable[[int, str], Coroutine[Any, Any, None]]
Completed = Callable[[bool], None]


class Writable(Choice):
    """A bo whose puts set something off: `action(value, by)` returns when it is reached.

    It raises `CommandFailed` when it is not; then the put fails, and the record is in a WRITE alarm
    until the next success: most clients look at that, pyepics' put(wait=True) ignores the failure.
    """

    __slots__ = ("_action", "_going")
    writable = True

    def __init__(self, name: str, record: Record, action: Action) -> None:
        super().__init__(name, record, record.choices)
        self._action = action
        self._going: set[asyncio.Task[None]] = set()

    def put(self, values: Sequence[object], by: str, completed: Completed) -> None:
        """Take what a client has put; call `completed` with whether it succeeded, once.

        Args:
            values: the elements, numbers or bytes; the first counts.
            by: who puts, `user@host`.
            completed: called in the event loop, at once where there is nothing to wait for.

        Raises:
            wire.ConversionError: it is none of the choices. Nothing has changed then.
        """
        self._begin(wire.choice(self.choices, values[0] if values else None), by, completed)

    @property
    def pending(self) -> int:
        """How many puts have not ended."""
        return len(self._going)

    async def cancel(self) -> None:
        """Give up what is going on; its puts fail."""
        going = tuple(self._going)
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    def _begin(self, value: int, by: str, completed: Completed) -> None:
        task = asyncio.get_running_loop().create_task(self._action(value, by))
        self._going.add(task)
        task.add_done_callback(partial(self._end, completed))

    def _end(self, completed: Completed, task: asyncio.Task[None]) -> None:
        self._going.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, CommandFailed):
            log.error("%s: a fault of the IOC: %r", self.name, error, exc_info=error)
        failed = task.cancelled() or error is not None
        self._ended(Severity.MAJOR if failed else Severity.NO_ALARM)
        completed(not failed)

    def _ended(self, severity: Severity) -> None:
        self.post(self.value, severity, AlarmStatus.WRITE)


class Command(Writable):
    """`Done`/`Busy` with the semantics of synApps' busy record; writing 0 does nothing."""

    __slots__ = ()

    def _begin(self, value: int, by: str, completed: Completed) -> None:
        if value == DONE:
            completed(True)
            return
        super()._begin(value, by, completed)
        self.post(BUSY, self.severity, AlarmStatus.WRITE)

    def _ended(self, severity: Severity) -> None:
        self.post(BUSY if self._going else DONE, severity, AlarmStatus.WRITE)
