"""Takes the stacks of all threads of a run: when STACK is put, or when the run hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from bgrscrpt_ioc.host.contract import Dump
from bgrscrpt_ioc.host.faults import FAULT
from bgrscrpt_ioc.host.system import take_stacks
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.process.order import BOOTSTRAP
from bgrscrpt_ioc.process.process import ScriptProcess
from bgrscrpt_ioc.process.stacks import stacks_text
from bgrscrpt_ioc.records.table import TAIL

PATIENCE = 4.0  # s for an interpreter to answer STACK
MOMENT = 2.0  # s, before a run that hangs is stopped, because the stop must not wait for long
MOST = 20  # processes of a run whose stacks are taken, including the script's own

log = logging.getLogger("bgrscrpt_ioc.stack")


class Stack:
    """The stacks of one instance, run after run."""

    def __init__(self, worker: Worker, output: Output, publish: Publish) -> None:
        """Prepare; no stacks were taken. `worker` waits for the interpreters."""
        self._worker, self._output, self._publish = worker, output, publish
        self._going: asyncio.Future[str] | None = None
        self._asked: ScriptProcess | None = None
        self.text = ""  # the newest stacks
        self.hung = ""  # the stacks of the newest run whose heartbeat was missing, for the history

    async def take(self, process: ScriptProcess, why: str, patience: float = PATIENCE) -> str:
        """Publish STACK:TEXT; return why there are no stacks, or "".

        A call while stacks are being taken gets the same stacks.
        """
        while self._going is not None and self._asked is not process:
            await asyncio.shield(self._going)  # for a run that has ended
        if self._going is None:
            others = sorted(process.tree().keys() - {process.pid, process.script_pid})[: MOST - 1]
            self._going, self._asked = asyncio.get_running_loop().create_future(), process
            self._worker.do(
                "stacks",
                _job(process.script_pid, others, patience),
                lambda dumps: self._taken(dumps, why),
            )
        return await asyncio.shield(self._going)

    async def keep(self, process: ScriptProcess, run: int, why: str) -> None:
        """Take the stacks of a run that hangs, and write them to the log file too."""
        await self.take(process, f"run {run}: {why}", MOMENT)
        self.hung = self.text
        for line in self.text.splitlines():
            self._output.remark(line)

    def begin(self) -> None:
        """Begin a run: it has not hung."""
        self.hung = ""

    def _taken(self, dumps: Sequence[Dump], why: str) -> None:
        going, self._going = self._going, None
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        text = stacks_text(dumps, str(BOOTSTRAP.parent), f"{now} {why}", TAIL - 1)
        try:
            self._publish("STACK:TEXT", text)
        finally:
            self.text = text
            if going is not None and not going.done():
                going.set_result("" if dumps[0].text else dumps[0].problem)


def _job(leader: int, others: Sequence[int], patience: float) -> Callable[[], list[Dump]]:
    """Return the worker's job. It never raises, because somebody waits for its end."""

    def take() -> list[Dump]:
        try:
            return take_stacks(leader, others, patience)
        except Exception:
            log.exception("the stacks of process %d", leader)
            return [Dump(leader, problem=FAULT)]

    return take
