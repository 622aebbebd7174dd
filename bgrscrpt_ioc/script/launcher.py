"""Launches the runs of an instance: in the interpreter that checked the script, or in a new one.

The supervisor decides which run is launched, and when.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace

from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.faults import FAULT
from bgrscrpt_ioc.host.permissions import refusal
from bgrscrpt_ioc.host.system import Cgroups, Guardian, Reaper
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.limits.confine import confinement
from bgrscrpt_ioc.process.order import Order, order_for
from bgrscrpt_ioc.process.process import Listener, ScriptProcess
from bgrscrpt_ioc.process.spawn import UNREACHED, SpawnError, reach
from bgrscrpt_ioc.script.standby import IMPORTS, PATIENCE, Standby

ENDING = 5.0  # s to wait for a process after SIGKILL; then only the kernel can end it

log = logging.getLogger("bgrscrpt_ioc.launcher")


class Launcher:
    """The launcher of one instance. Interpreters wait only during a RESTART, never between runs."""

    def __init__(
        self,
        instance: InstanceSettings,
        key: str,
        *,
        prefix: str,
        ioc_id: str,
        reaper: Reaper,
        guardian: Guardian,
        worker: Worker,
        cgroups: Cgroups | None = None,
        strict: bool = False,
        kept: Callable[[], bytes] = bytes,
    ) -> None:
        """Prepare; nothing is launched yet.

        Args:
            instance: settings of what to launch.
            key: names the instance on this host.
            prefix: prefix of the PVs, for the script's environment.
            ioc_id: distinguishes this IOC process from all others.
            reaper: hears of the end of each process.
            guardian: is told of each process, so that none outlives the IOC.
            worker: reaches for the files of each launch: their disks may hang.
            cgroups: where runs can have one.
            strict: refuse a script that others may change.
            kept: returns what an interpreter is told of kept values, before it imports `preload`.
        """
        self._instance, self._key, self._prefix, self._ioc_id = instance, key, prefix, ioc_id
        self._reaper, self._guardian, self._cgroups = reaper, guardian, cgroups
        self._strict, self._worker, self._kept = strict, worker, kept
        self.patience = PATIENCE  # s that the files may take to answer before a check
        self._reaching: list[Callable[[], None]] = []
        self._asker: object = None  # the RESTART whose check has not begun yet
        self.imports = IMPORTS  # s that the modules of `preload` may take
        # The interpreter that checks the script, and the run for which it does.
        self._next: tuple[int, Standby] | None = None
        self._ready = False  # this check is done
        self._waiting: set[Standby] = set()

    def take(self, instance: InstanceSettings) -> None:
        """Launch by these settings from now on."""
        self._instance = instance

    # --- checks --------------------------------------------------------------------------------

    async def check(self) -> str:
        """Check the script; return in one line why it does not compile, or nothing."""
        if problem := await self._reached():
            return problem
        try:
            standby = self._standby("check", only_checks=True)
        except SpawnError as error:
            return str(error)
        try:
            return await standby.check()
        finally:
            standby.close()

    async def check_for(self, run: int, warn: Callable[[str], None]) -> str:
        """Check the script.

        If it is good, its interpreter waits for this run; return what is wrong.

        The modules of `preload` are imported meanwhile. If one cannot be imported, `warn` is
        called, and the run goes on without.
        """
        self.release()
        asker = self._asker = object()
        if problem := await self._reached():
            return problem
        if self._asker is not asker:
            return "the check was given up"
        try:
            standby = self._standby(str(run), preload=self._instance.preload)
        except SpawnError as error:
            return str(error)
        standby.know(self._kept())
        mine = self._next = run, standby
        self._ready = False
        problem = await standby.check()
        trouble = "" if problem else await standby.prepare(self.imports)
        if self._next is not mine:
            return problem  # nobody waits for this check any more
        self._ready = True
        if trouble:
            warn(f"preload: {trouble}")
        if problem:
            self.release()
        return problem

    def release(self) -> None:
        """End the interpreter that waits for a run or still checks the script: no run comes."""
        self._asker = None
        if self._next is not None:
            self._next[1].close()
            self._next = None

    async def end(self) -> None:
        """End all interpreters that wait, and return when they have ended."""
        self._asker = self._next = None
        for standby in self._waiting:
            standby.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                for standby in tuple(self._waiting):
                    await standby.gone.wait()

    # --- the files of a launch -----------------------------------------------------------------

    def reach_for(self, run: int, then: Callable[[], None]) -> None:
        """Call `then` when this run can be launched: at once if an interpreter waits for it."""
        if self._next is not None and self._ready and self._next[0] == run:
            then()
        else:
            self.reach(then)

    def reach(self, then: Callable[[], None]) -> None:
        """Call `then` when the disks with the files of a launch have answered.

        Usually they do at once.

        A launch reads these files in the event loop, so nothing may be launched from a disk that
        hangs.
        """
        order = self._order("", now=False)
        self._reaching.append(then)
        self._worker.do(
            f"reach for the files of {self._instance.name}",
            lambda: reach(order),
            lambda _result: self._have_reached(),
        )

    def _have_reached(self) -> None:
        # The worker does only the last of the jobs that wait, so it answers for the earlier ones
        # too.
        reaching, self._reaching = self._reaching, []
        for then in reaching:
            then()

    async def _reached(self) -> str:
        """Wait for the files of a launch; return that a disk does not answer, or nothing."""
        reached = asyncio.Event()
        self.reach(reached.set)
        try:
            async with asyncio.timeout(self.patience):
                await reached.wait()
        except TimeoutError:
            self._reaching.remove(reached.set)
            return UNREACHED
        return ""

    # --- runs ----------------------------------------------------------------------------------

    def launch(self, run: int, listener: Listener) -> ScriptProcess:
        """Launch this run. `listener` hears of its end, whatever happens after the launch.

        Raises:
            SpawnError: the script is refused, or the interpreter or directory cannot be used.
        """
        if why := self._refusal():
            raise SpawnError(why)
        order = self._order(str(run), now=True)
        if self._next is None or not self._ready:
            return ScriptProcess(order, self._reaper, listener)
        number, standby = self._next
        self._next = None
        if not standby.alive or number != run or not standby.is_of(order):
            standby.close()
            return ScriptProcess(order, self._reaper, listener)
        self._waiting.discard(standby)
        standby.heir = listener
        try:
            standby.go(listener)
        except Exception:
            log.exception("%s: a run that was launched is killed", self._instance.name)
            standby.process.kill(FAULT)
        return standby.process

    def _standby(
        self, run: str, preload: tuple[str, ...] = (), *, only_checks: bool = False
    ) -> Standby:
        if why := self._refusal():
            raise SpawnError(why)

        def ended(pid: int) -> None:
            self._waiting.discard(standby)
            self._guardian.close(pid)

        order = replace(self._order(run, now=False), preload=preload, only_checks=only_checks)
        standby = Standby(order, self._reaper, ended)
        self._waiting.add(standby)
        try:
            self._guardian.open(standby.process.pid, standby.process.mark)
        except BaseException:
            standby.close()
            raise
        return standby

    def _order(self, run: str, *, now: bool) -> Order:
        """Return how to launch a run: `now`, or later."""
        return order_for(
            self._instance,
            os.environ,
            prefix=self._prefix,
            cookie=f"{self._ioc_id}/{self._key}/{run}",
            confinement=confinement(self._instance, self._key, self._cgroups, now=now),
        )

    def _refusal(self) -> str:
        """Return why this script must not run: with `strict`, others may have written it."""
        return refusal(self._instance.script) if self._strict else ""
