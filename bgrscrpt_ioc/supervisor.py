"""One instance: carries out what its lifecycle wants, and has the state it is in published.

All decisions are the lifecycle's. Knows no Channel Access: commands come in as calls, readings go
out through `publish(name, value, severity)`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from bgrscrpt_ioc import events as ev
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.confine import confinement
from bgrscrpt_ioc.events import Clock, CommandFailed, State
from bgrscrpt_ioc.launch import Launch, launch
from bgrscrpt_ioc.lifecycle import Lifecycle
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.permissions import refusal
from bgrscrpt_ioc.readings import USAGE, Readings
from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.run import Run
from bgrscrpt_ioc.services import Services
from bgrscrpt_ioc.spawn import SpawnError
from bgrscrpt_ioc.standby import Reserve
from bgrscrpt_ioc.state import KeptState, StateFile
from bgrscrpt_ioc.watch import Watch

log = logging.getLogger("bgrscrpt_ioc.supervisor")

SCRIPT = ("SCRIPT", "SCRIPT:CHANGED", "SCRIPT:MSG")
LIVE = ("UPTIME", "RETRYIN", "SPARE:MEMORY", *SCRIPT, *USAGE)  # true only when one looks


class Supervisor:
    """One instance of the IOC."""

    def __init__(
        self,
        instance: InstanceSettings,
        services: Services,
        *,
        key: str,
        output: Output,
        publish: Publish,
        own_pvs: Sequence[PvRow],
        state_file: StateFile,
    ) -> None:
        """Prepare; nothing runs before `begin`. `key` names the instance on this host."""
        self.instance = instance
        self._services, self._key, self._output, self._publish = services, key, output, publish
        self._own_pvs = own_pvs
        self._loop = asyncio.get_running_loop()
        self._kept = KeptState(state_file, services.worker)
        autorestart = self._kept.now.autorestart
        self._machine = Lifecycle(
            instance.policy, instance.autorestart if autorestart is None else autorestart
        )
        self._run: Run | None = None
        self._readings = Readings(instance, services, self._machine, output, publish)
        self._reserve = Reserve(
            self._launch,
            services,
            output,
            publish,
            spare=instance.warm_spare,
            lost=self._settle_soon,
        )
        self._refreshers = {
            "UPTIME": self._readings.show_uptime,
            "RETRYIN": self._readings.show_retry,
            "SPARE:MEMORY": self._reserve.refresh,
            **dict.fromkeys(SCRIPT, self._readings.look_at_script),
            **dict.fromkeys(USAGE, self._readings.show_usage),
        }
        self._checks = 0  # under way
        self._automatic_runs = 0
        self._events: deque[ev.Event] = deque()
        self._handling = False
        self._tickets = count(1)
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._timers: dict[Clock, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        publish("SCRIPT", str(instance.script))
        publish("PYTHON", str(instance.python))
        publish("AUTORESTART", int(self._machine.autorestart))
        self.registry_changed()
        self._readings.show_state(self._automatic_runs)
        if problem := self._kept.problem:
            self._publish("STATUS:MSG", problem)
            log.warning("%s: %s", instance.name, problem)

    # --- commands ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Do what `at_start` says. The IOC does not wait for it."""
        last = self.instance.at_start == "last" and self._kept.now.wanted is not False
        self._readings.look_at_script()
        if self.instance.at_start == "run" or last:
            self._post(ev.StartAsked(next(self._tickets), "the IOC at its start"))
        self._settle()

    async def start(self, by: str) -> None:
        """Return when Running.

        Raises:
            CommandFailed: it will not be, and why. So of all commands.
        """
        await self._command(ev.StartAsked, by)

    async def stop(self, by: str) -> None:
        """Return when no process of the script lives."""
        await self._command(ev.StopAsked, by)

    async def restart(self, by: str) -> None:
        """Return when the script runs anew."""
        await self._command(ev.RestartAsked, by)

    async def check(self, by: str) -> None:
        """Return when the script as it is on disk is found to compile."""
        problem = await self._check()
        verdict = f"the script is bad: {problem}" if problem else "the script compiles"
        self._publish("STATUS:MSG", f"{verdict} (checked by {by})", self._machine.severity)
        if problem:
            raise CommandFailed(verdict)

    def set_autorestart(self, on: bool, by: str) -> None:
        """Switch AUTORESTART, now and for later IOCs."""
        self._output.remark(f"AUTORESTART {'On' if on else 'Off'} by {by}")
        self._publish("AUTORESTART", int(on))
        self._post(ev.AutorestartSet(on))
        self._kept.set(replace(self._kept.now, autorestart=on))

    async def shutdown(self) -> None:
        """Return when no process of the script lives, or SIGKILL was of no use."""
        ticket = next(self._tickets)
        failure = await self._completed(ticket, ev.ShutdownAsked(ticket))
        self._kept.close()
        await self._reserve.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if failure:
            log.error("%s: %s", self.instance.name, failure)

    async def _command(self, kind: Callable[[int, str], ev.Event], by: str) -> None:
        ticket = next(self._tickets)
        if failure := await self._completed(ticket, kind(ticket, by)):
            raise CommandFailed(failure)

    async def _completed(self, ticket: int, event: ev.Event) -> str:
        future = self._waiting[ticket] = self._loop.create_future()
        self._post(event)
        return await future

    # --- readings ------------------------------------------------------------------------------

    def refresh(self, name: str) -> None:
        """Publish one of `LIVE` as it is now."""
        self._refreshers[name]()

    def clock_set(self) -> None:
        """The wall clock was set: what it said at the start of the run is not true any more."""
        if self._run is not None:
            self._run.clock_set()

    def registry_changed(self) -> None:
        """Publish how far the registry is with this instance."""
        self._readings.show_registration()

    # --- events and effects --------------------------------------------------------------------

    def _post(self, event: ev.Event) -> None:
        """Handle an event, after those that are being handled: an effect may cause more of them."""
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events:
                effects = self._machine.handle(self._events.popleft())
                for effect in effects:
                    if isinstance(effect, ev.SetTimer) and effect.clock is Clock.RETRY:
                        self._readings.retry_at = self._loop.time() + effect.delay
                for effect in effects:  # first: a start shall not wait for what follows
                    self._try_to_carry_out(effect)
                self._readings.show_state(self._automatic_runs)
                if self._machine.run or self._machine.wanted:  # else nobody has wanted anything
                    self._kept.set(replace(self._kept.now, wanted=self._machine.wanted))
            self._settle()
        finally:
            self._handling = False

    def _try_to_carry_out(self, effect: ev.Effect) -> None:
        """Whatever goes wrong with one effect, the others follow, and every command completes."""
        try:
            self._carry_out(effect)
        except Exception:
            log.exception("%s: %s failed by a fault of the IOC", self.instance.name, effect)
            if isinstance(effect, ev.Spawn) and self._run is not None:
                self._run.not_launched("a fault of the IOC, see its log")

    def _carry_out(self, effect: ev.Effect) -> None:
        match effect:
            case ev.Spawn(run):
                self._spawn(run)
            case ev.Check(ticket):
                self._in_background(self._answer_check(ticket))
            case ev.Signal(_, sign):
                if self._run is not None and self._run.process is not None:
                    self._run.interrupted()
                    self._run.process.send(sign)
            case ev.SetTimer(run, clock, delay):
                self._cancel(clock)
                event = ev.Elapsed(run, clock)
                self._timers[clock] = self._loop.call_later(delay, self._post, event)
            case ev.CancelTimer(clock):
                self._cancel(clock)
            case ev.Complete(ticket, failure):
                future = self._waiting.pop(ticket, None)
                if future is not None and not future.done():  # done: its client has gone
                    future.set_result(failure)

    def _spawn(self, number: int) -> None:
        self._automatic_runs += self._machine.automatic
        run = self._run = self._readings.run = Run(
            number,
            self.instance.name,
            output=self._output,
            publish=self._publish,
            post=self._post,
            services=self._services,
            registry_changed=self.registry_changed,
            own_pvs=self._own_pvs,
        )
        if why := self._refusal():
            run.not_launched(why)
            return
        try:
            process = self._reserve.take(number, run)
        except SpawnError as error:
            run.not_launched(str(error))
            return
        run.launched(process)
        run.watch = Watch(
            process,
            self.instance.limits,
            meter=run.meter,
            processes=self._services.processes,
            worker=self._services.worker,
            looked=self._readings.compared_with_limits,
        )
        self._readings.look_at_script()
        self._in_background(self._readings.show_revision())

    def _launch(self, run: str, *, now: bool) -> Launch:
        """How a run is launched: `now`, or when it comes to it."""
        return launch(
            self.instance,
            os.environ,
            prefix=self._services.prefix,
            cookie=f"{self._services.ioc_id}/{self._key}/{run}",
            confinement=confinement(self.instance, self._key, self._services.cgroups, now=now),
        )

    def _cancel(self, clock: Clock) -> None:
        timer = self._timers.pop(clock, None)
        if timer is not None:
            timer.cancel()

    # --- what takes time -----------------------------------------------------------------------

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refusal(self) -> str:
        """With `strict`, why this script must not run: others may have written it."""
        return refusal(self.instance.script) if self._services.strict else ""

    async def _check(self) -> str:
        self._checks += 1
        try:
            return self._refusal() or await self._reserve.check(self._machine.run + 1)
        finally:
            self._checks -= 1
            self._settle_soon()

    def _settle(self) -> None:
        """Keep a spare where a next run may come, and no other interpreter that waits."""
        under_way = self._checks or self._machine.state in (State.STARTING, State.STOPPING)
        if not under_way and not self._machine.closing:
            self._reserve.settle(self._machine.run + 1)

    def _settle_soon(self) -> None:
        self._loop.call_soon(self._settle)

    async def _answer_check(self, ticket: int) -> None:
        problem = "the check failed by a fault of the IOC, see its log"
        try:
            problem = await self._check()
        finally:
            self._post(ev.Checked(ticket, problem))
