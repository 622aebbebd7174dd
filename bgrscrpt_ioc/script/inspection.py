"""Looks at an instance without changing its state: is the script good, and where are its threads?

For the commands CHECK and STACK, for the check before a RESTART, and for a run that hangs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bgrscrpt_ioc.host.faults import FAULT
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.lifecycle.table import Lifecycle
from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.output.output import Publish
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.reporter import GOING
from bgrscrpt_ioc.script.run import Run
from bgrscrpt_ioc.script.stack import Stack

log = logging.getLogger("bgrscrpt_ioc.supervisor")


class Inspection:
    """Inspects one instance."""

    def __init__(
        self, name: str, machine: Lifecycle, launcher: Launcher, stack: Stack, publish: Publish
    ) -> None:
        self._name, self._machine, self._launcher = name, machine, launcher
        self._stack, self._publish = stack, publish

    async def check(self, by: str) -> None:
        """Publish whether the script on disk compiles; `by` is who asked.

        Raises:
            CommandFailed: the script does not compile.
        """
        problem = await self._launcher.check()
        verdict = f"the script is bad: {problem}" if problem else "the script compiles"
        text = visible(f"{verdict} (checked by {by})")
        self._publish("STATUS:MSG", text, self._machine.severity)
        if problem:
            raise CommandFailed(verdict)

    async def stack(self, run: Run | None, by: str) -> None:
        """Publish the stacks of all threads of a run; `by` is who asked.

        Raises:
            CommandFailed: there is no run, or its interpreter does not answer.
        """
        if run is None or run.process is None or self._machine.state not in GOING:
            raise CommandFailed("the script does not run")
        if problem := await self._stack.take(run.process, f"run {run.number}, asked by {by}"):
            raise CommandFailed(f"no stacks: {problem}")

    async def keep_stacks(self, run: Run | None, number: int, why: str) -> None:
        """Keep the stacks of a run that hangs in the log; `number` is that of the run."""
        try:
            if run is not None and run.process is not None:
                await self._stack.keep(run.process, number, why)
        except Exception:
            log.exception("%s: the stacks of run %d", self._name, number)

    async def check_for(self, number: int, warn: Callable[[str], None]) -> str:
        """Check the script before it replaces a run; return what is wrong with it, or nothing.

        Args:
            number: the run that is to come. The interpreter that checks the script waits for it.
            warn: writes a line to the script's log.
        """
        try:
            return await self._launcher.check_for(number, warn)
        except Exception:
            log.exception("%s: the check of a RESTART", self._name)
            return f"the check failed by {FAULT}"
