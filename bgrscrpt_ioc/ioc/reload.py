"""Reads the configuration of a running IOC again, and makes it true: all of it, or nothing.

Theory of operation
-------------------
What can fail comes first, and is undone when it does: the file is read, the plan is made, names are
claimed, the network is asked, scripts are checked, new instances are made. Then, in one turn of the
event loop, every instance takes its new settings and new instances are served: that is the new
configuration, and were a fault of ours to come in between, all take back the old. Then follows what
takes time: removed scripts are stopped, before an added one that may be the same is started;
scripts are restarted. What fails there is said, and keeps no other from its turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial

from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.faults import FAULT
from bgrscrpt_ioc.host.hold import TakenError
from bgrscrpt_ioc.host.worker import Worker, in_thread
from bgrscrpt_ioc.ioc.instance import ServedInstance, launcher_for
from bgrscrpt_ioc.ioc.instances import Instances, claim
from bgrscrpt_ioc.ioc.names import key_of
from bgrscrpt_ioc.ioc.plan import Plan, plan_of
from bgrscrpt_ioc.ioc.source import SettingsSource
from bgrscrpt_ioc.lifecycle.events import CommandFailed

BY = "a reload of the configuration"
DONE, FAILED, REFUSED = 0, 1, 2  # exit codes of `bgrscrpt-ioc reload`
AT_ONCE = 4  # scripts that are checked at a time: each check is an interpreter
UNCHANGED = "nothing is changed"

Say = Callable[[str], None]

log = logging.getLogger("bgrscrpt_ioc.reload")


class _Refused(Exception):  # noqa: N818 - an outcome, as CommandFailed is
    """The reload cannot be done; a line for each reason."""


class Report:
    """Says what a reload does and comes to: to who has asked, and in the log."""

    def __init__(self, say: Say, *, is_logged: bool = True) -> None:
        """Say each line by `say`; what changes nothing need not be logged."""
        self._say, self._is_logged = say, is_logged

    def tell(self, line: str, level: int = logging.INFO) -> None:
        """Say a line."""
        if self._is_logged:
            log.log(level, "%s", line)
        self._say(line)

    def complain(self, line: str) -> None:
        """Say that something is not as it was asked for."""
        self.tell(line, logging.WARNING)


class Reload:
    """Of one IOC."""

    def __init__(
        self,
        settings: IocSettings,
        instances: Instances,
        source: SettingsSource,
        *,
        begins: Callable[[], None],
        ends: Callable[[], Awaitable[None]],
    ) -> None:
        """The settings are true now. `begins` and `ends` are called around each reload.

        A dry run is none.
        """
        self.settings = settings
        self._instances, self._source = instances, source
        self._begins, self._ends = begins, ends
        self._turn = asyncio.Lock()
        self._preparing: asyncio.Task[int] | None = None  # it can be given up
        self._going: set[asyncio.Task[int]] = set()
        self._closing = False

    async def answer(self, request: str, say: Say) -> int:
        """Answer a request of this host: `reload`, or `reload --dry-run`; see host's `control`."""
        if request not in ("reload", "reload --dry-run"):
            say(f"{request!r} is not known: this IOC is of another version")
            return FAILED

        dry = request != "reload"
        return await asyncio.shield(self._begin(Report(say, is_logged=not dry), dry=dry))

    def asked(self) -> None:
        """Reload, and say in the log what that has come to: there was a signal."""
        if len(self._going) > 1:
            return  # one goes on, and the one that waits reads what the file has then
        log.info("SIGHUP: reading the configuration again")
        self._begin(Report(lambda _line: None), dry=False)

    async def close(self) -> None:
        """Begin no reload any more; return when none goes on. One that prepares is given up."""
        self._closing = True
        if self._preparing is not None:
            self._preparing.cancel()
        await asyncio.gather(*self._going, return_exceptions=True)

    def _begin(self, report: Report, *, dry: bool) -> asyncio.Task[int]:
        task = asyncio.get_running_loop().create_task(self._in_turn(report, dry=dry))
        self._going.add(task)
        task.add_done_callback(self._going.discard)
        return task

    async def _in_turn(self, report: Report, *, dry: bool) -> int:
        async with self._turn:
            if self._closing:
                report.complain(f"the IOC is ending; {UNCHANGED}")
                return REFUSED
            if dry:
                return await self._reload(report, dry=True)
            self._attempt(self._begins)
            try:
                return await self._reload(report, dry=False)
            finally:
                await self._attempted("telling of the reload", self._ends)

    async def _reload(self, report: Report, *, dry: bool) -> int:
        self._preparing = asyncio.current_task()
        try:
            async with AsyncExitStack() as undo:
                settings, open_config = await in_thread(self._source.read)
                plan = self._plan(settings, report)
                await self._prepare(plan, settings, undo)
                if dry:
                    report.tell(f"{UNCHANGED}: --dry-run")
                    return DONE
                made = [self._make(each, open_config, undo) for each in plan.added]
                self._commit(settings, open_config, made)
                undo.pop_all()
        except (ConfigError, _Refused) as refused:
            for line in "\n".join(map(str, refused.args)).splitlines():
                report.complain(line)
            report.complain(UNCHANGED)
            return REFUSED
        except Exception:
            log.exception("the reload failed by a fault of the IOC")
            report.complain(f"{FAULT}; {UNCHANGED}")
            return REFUSED
        finally:
            self._preparing = None
        return await self._follow(plan, made, report)

    # --- what can fail, and is undone ----------------------------------------------------------

    def _plan(self, settings: IocSettings, report: Report) -> Plan:
        """Return what is to be done for these settings, once it is said."""
        plan = plan_of(self.settings, settings)
        if plan.refused:
            raise _Refused(*plan.refused)
        for line in plan.lines(lambda name: self._instances[name].restarts):
            report.tell(line)
        return plan

    async def _prepare(self, plan: Plan, settings: IocSettings, undo: AsyncExitStack) -> None:
        """Find out whether the plan can be carried out; added instances are this IOC's then."""
        if plan.added:
            hold = self._instances.hold
            try:
                await in_thread(partial(claim, hold, settings, plan.added))
            except (TakenError, OSError) as error:
                raise _Refused(str(error)) from error
            undo.callback(hold.release, *(key_of(settings, each) for each in plan.added))
            new = settings.model_copy(update={"instances": plan.added})
            if not settings.force and (why := await in_thread(partial(self._source.taken, new))):
                raise _Refused(why)
        checked = [change.after for change in plan.changed if self._is_restarted(change.name, plan)]
        checked += [each for each in plan.added if each.at_start != "stop"]
        few = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:  # none goes on when another one fails
            checks = [group.create_task(self._check(each, few)) for each in checked]
        if problems := [line for each in checks if (line := each.result())]:
            raise _Refused(*problems)

    def _is_restarted(self, name: str, plan: Plan) -> bool:
        of_run = any(change.of_run for change in plan.changed if change.name == name)
        return of_run and self._instances[name].restarts

    async def _check(self, settings: InstanceSettings, few: asyncio.Semaphore) -> str:
        """Return what keeps the script from running by these settings, or ""."""
        parts = self._instances.parts
        async with few:
            launcher = launcher_for(settings, parts, Worker(parts.threads))
            try:
                problem = await launcher.check()
            finally:
                await launcher.end()
        return f"[instance.{settings.name}] script: {problem}" if problem else ""

    def _make(
        self, settings: InstanceSettings, open_config: str, undo: AsyncExitStack
    ) -> ServedInstance:
        made = self._instances.make(settings, open_config)
        undo.push_async_callback(made.discard)
        undo.push_async_callback(made.end)
        if taken := self._instances.name_taken(made):
            raise _Refused(f"[instance.{settings.name}]: {taken} is a PV of another instance")
        return made

    def _commit(
        self, settings: IocSettings, open_config: str, made: Sequence[ServedInstance]
    ) -> None:
        """Make the new settings those of the IOC, at once; or raise, and leave the old."""
        new = {each.name: each for each in settings.instances}
        with ExitStack() as undo:
            for each in self._instances:
                if each.settings.name in new:
                    undo.callback(each.take, each.settings, each.open_config)
                    each.take(new[each.settings.name], open_config)
            for each in made:
                undo.callback(self._instances.withdraw, each)
                self._instances.serve(each)
            self.settings = settings
            undo.pop_all()

    # --- what takes time, and follows ----------------------------------------------------------

    async def _follow(self, plan: Plan, made: Sequence[ServedInstance], report: Report) -> int:
        """Bring what runs to the settings; return how the reload ended."""
        instances = self._instances
        self._attempt(instances.show_names, plan.removed)
        for each in made:
            self._attempt(instances.prepare, each)
        for change in plan.changed:
            self._attempt(instances[change.name].supervisor.settle)
        restarted = [each.name for each in plan.changed if self._is_restarted(each.name, plan)]
        # An added script may be one that is removed: it must not run twice.
        scripts = [instances[name].settings.script for name in plan.removed]
        failures = [*await asyncio.gather(*map(self._removed, plan.removed))]
        left = {script for script, failure in zip(scripts, failures, strict=True) if failure}
        for each in made:
            if each.settings.script in left:
                failures.append(f"{each.settings.name}: not started: its script may run still")
            else:
                self._attempt(each.supervisor.begin, BY)
        twice = {name for name in restarted if instances[name].settings.script in left}
        failures += [f"{name}: not restarted: its script may run still" for name in twice]
        restarted = [name for name in restarted if name not in twice]
        failures += await asyncio.gather(*map(self._restarted, restarted))
        failures = [line for line in failures if line]
        for line in failures:
            report.complain(line)
        if failures:
            report.complain("done, but for what is said above")
            return FAILED
        report.tell(plan.summary(len(restarted)))
        return DONE

    async def _removed(self, name: str) -> str:
        instance = self._instances[name]
        remove = partial(self._instances.remove, instance)
        if not (trouble := await self._attempted(f"the end of {name}", remove)):
            return ""
        self._attempt(self._instances.abandon, instance)
        return f"{name}: its name stays taken until the IOC ends: {trouble}"

    async def _restarted(self, name: str) -> str:
        async def restart() -> str:
            try:
                await self._instances[name].supervisor.restart(BY)
            except CommandFailed as error:
                return str(error)
            return ""

        trouble = await self._attempted(f"the restart of {name}", restart)
        return f"{name}: not restarted: {trouble}" if trouble else ""

    def _attempt(self, act: Callable[..., object], *arguments: object) -> None:
        try:
            act(*arguments)
        except Exception:
            log.exception("the reload goes on after a fault of the IOC")

    async def _attempted(self, what: str, act: Callable[[], Awaitable[str | None]]) -> str:
        try:
            return await act() or ""
        except Exception:
            log.exception("the reload goes on after a fault of the IOC: %s", what)
            return FAULT
