"""Interpreters that wait for an instance's next run: one checks the script, then becomes that run.

They know no lifecycle: when there is a next run, and when it goes, is the supervisor's to say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from bgrscrpt_ioc.checker import check_script
from bgrscrpt_ioc.events import Severity, Sign
from bgrscrpt_ioc.launch import Launch
from bgrscrpt_ioc.messages import CheckedAhead, Message, Prepared, Unprepared
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.process import CHECK, Listener, ScriptProcess
from bgrscrpt_ioc.services import Services
from bgrscrpt_ioc.spawn import SpawnError
from bgrscrpt_ioc.usage import resident

ENDING = 5.0  # s until a process that SIGKILL has not ended is the kernel's business
TIMEOUT = 30.0  # s: an interpreter on a network disk may be slow, a hung one must not hang a put


class Standby:
    """One interpreter, used for one run at most; a `process.Listener` until then."""

    behind = False

    def __init__(
        self,
        launch: Launch,
        services: Services,
        *,
        run: int,
        changed: Callable[[], None],
    ) -> None:
        """Launch it, for the run of this number. `changed` is called when `state` has changed.

        Raises:
            SpawnError: the interpreter or the working directory cannot be used.
        """
        self.run = run
        self.problem = ""  # what keeps it from importing ahead
        self.state = "preparing"
        self.confinement = launch.confinement
        self.process = ScriptProcess(launch, services.reaper, self, mode="standby")
        self._python = launch.python
        self._guardian, self._changed = services.guardian, changed
        self._guardian.open(self.process.pid, self.process.mark)
        self._waiting: list[asyncio.Future[str | None]] = []
        self.gone = asyncio.Event()
        self.ready = False
        self.alive = True  # and nobody else's

    async def check(self) -> str | None:
        """Say in one line what keeps the script from running, or ""; None: it cannot tell."""
        if not self.alive:
            return None
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self.process.tell(CHECK)
        try:
            async with asyncio.timeout(TIMEOUT):
                return await answer
        except TimeoutError:
            self.close()
            return f"{self._python} did not compile it within {TIMEOUT:g} s"

    def go(self, listener: Listener) -> ScriptProcess:
        """Have it run the script, for `listener`; it is no standby any more."""
        self._end()
        self.process.go(listener)
        return self.process

    def close(self) -> None:
        """Kill it, if it is still ours."""
        if self.alive:
            self._end()
            self.process.send(Sign.KILL)

    def _end(self) -> None:
        self.alive = False
        for answer in self._waiting:
            if not answer.done():
                answer.set_result(None)
        self._waiting.clear()

    def _become(self, state: str) -> None:
        self.state = state
        self._changed()

    # --- process.Listener ----------------------------------------------------------------------

    def output(self, data: bytes) -> None:
        """What it has written when it ends without a run is nobody's."""

    def said(self, message: Message) -> None:
        """Hear how far it is."""
        match message:
            case Prepared(modules):
                self.ready = True
                self._become(f"ready, {modules} modules imported" if modules else "ready")
            case Unprepared(error):
                self.problem = error
            case CheckedAhead(error) if self._waiting:
                answer = self._waiting.pop(0)
                if not answer.done():
                    answer.set_result(error)

    def exited(self, code: int, reason: str, survivors: int) -> None:
        """Its modules have changed on disk, it could not import them, or somebody has killed it."""
        del code
        if not survivors:
            self.cleared()
        if self.alive:
            self._end()
            self._become(f"ended: {reason}")

    def cleared(self) -> None:
        """What its imports had started is gone too."""
        self._guardian.close(self.process.pid)
        self.gone.set()


class Launching(Protocol):
    """The supervisor's way to make a launch."""

    def __call__(self, run: str, *, now: bool) -> Launch:
        """How this run is launched; `now`: what it is confined to is made ready."""
        ...


class Reserve:
    """The interpreter that one instance has in standby, if any: a spare, or one for a RESTART."""

    def __init__(
        self,
        launch: Launching,
        services: Services,
        output: Output,
        publish: Publish,
        *,
        spare: bool,
        lost: Callable[[], None],
    ) -> None:
        """There is none yet.

        Args:
            launch: how the run of this number is launched, now or later.
            services: the IOC's.
            output: where a spare that cannot be had is told of.
            publish: for `SPARE` and `SPARE:MEMORY`.
            spare: keep one, always.
            lost: called when the spare has ended, and another one should be prepared.
        """
        self._launch, self._services, self._lost = launch, services, lost
        self._output, self._publish, self._spare = output, publish, spare
        self._standby: Standby | None = None
        self._problem = ""  # of the newest spare, until the next run
        publish("SPARE", "" if spare else "off")

    async def check(self, next_run: int) -> str:
        """Say in one line what keeps the script from running, or nothing: it compiles.

        The interpreter that has told it waits for the run that may follow; `settle` ends that.
        """
        try:
            standby = self._standby or self._prepare(next_run, spare=False)
        except SpawnError as error:
            return str(error)
        problem = await standby.check()
        if problem is None:  # it has gone to its run, or was killed
            launch = self._launch("check", now=False)
            problem = await check_script(launch, self._services.reaper)
        return problem

    def take(self, run: int, listener: Listener) -> ScriptProcess:
        """The process of this run: the interpreter in standby, or else a new one.

        Raises:
            SpawnError: the interpreter or the working directory cannot be used.
        """
        standby, self._standby = self._standby, None
        self._problem = ""
        launch = self._launch(str(run), now=True)
        confinement = launch.confinement
        if standby and standby.alive and (standby.run, standby.confinement) == (run, confinement):
            process = standby.go(listener)
        else:
            if standby is not None:
                standby.close()
            process = ScriptProcess(launch, self._services.reaper, listener)
        self._tell()
        return process

    def settle(self, next_run: int) -> None:
        """No run is about to begin: keep a spare for the next one, and nothing that is none."""
        if not self._spare:
            self.close()
        elif self._standby is None and not self._problem:
            try:
                self._prepare(next_run, spare=True)
            except SpawnError as error:
                self._fail(str(error))

    def close(self) -> None:
        """Have none."""
        if self._standby is not None:
            self._standby.close()
            self._standby = None
            self._tell()

    async def end(self) -> None:
        """Have none, for good; return when it is gone."""
        standby = self._standby
        self.close()
        if standby is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDING):
                    await standby.gone.wait()

    def refresh(self) -> None:
        """Publish what it takes, in MB (10^6 bytes)."""
        standby = self._standby
        self._publish("SPARE:MEMORY", resident(standby.process.pid) if standby else 0.0)

    def _prepare(self, run: int, *, spare: bool) -> Standby:
        launch = self._launch(str(run), now=False)
        if not spare:
            launch = replace(launch, preload=())
        self._standby = Standby(launch, self._services, run=run, changed=self._changed)
        self._tell()
        return self._standby

    def _changed(self) -> None:
        """The one in standby got on, or has ended without a run."""
        standby = self._standby
        if standby is None or standby.alive:
            self._tell()
            return
        self._standby = None
        if standby.ready:  # what it has imported has changed on disk, or somebody has killed it
            self._tell()
            self._lost()
        else:
            self._fail(standby.problem or standby.state)

    def _fail(self, problem: str) -> None:
        self._problem = problem
        self._output.warn(f"no spare interpreter, the next start is a cold one: {problem}")
        self._tell()

    def _tell(self) -> None:
        if self._spare:
            state = self._standby.state if self._standby else "none"
            problem = f"broken: {self._problem}" if self._problem else state
            self._publish("SPARE", problem, Severity.MINOR if self._problem else Severity.NO_ALARM)
        self.refresh()
