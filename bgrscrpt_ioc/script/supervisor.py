"""Supervises one instance: carries out what its lifecycle decides, and publishes its state.

It knows no Channel Access: commands come as calls, and readings go out through `publish(name,
value, severity)`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.system import Guardian
from bgrscrpt_ioc.lifecycle import events as ev
from bgrscrpt_ioc.lifecycle.events import CommandFailed, State
from bgrscrpt_ioc.lifecycle.table import Lifecycle
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.process.process import ScriptProcess
from bgrscrpt_ioc.script import load, scriptfile
from bgrscrpt_ioc.script.background import Background
from bgrscrpt_ioc.script.eventqueue import EventQueue
from bgrscrpt_ioc.script.heartbeat import Heartbeat
from bgrscrpt_ioc.script.inspection import Inspection
from bgrscrpt_ioc.script.kept import Keeper
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.load import Load
from bgrscrpt_ioc.script.pvs import ScriptPvs
from bgrscrpt_ioc.script.registration import Registration
from bgrscrpt_ioc.script.reporter import Reporter
from bgrscrpt_ioc.script.run import Run
from bgrscrpt_ioc.script.scriptfile import ScriptFile
from bgrscrpt_ioc.script.stack import Stack
from bgrscrpt_ioc.script.tickets import Tickets
from bgrscrpt_ioc.script.timers import Timers
from bgrscrpt_ioc.script.witness import Witness

log = logging.getLogger("bgrscrpt_ioc.supervisor")


class Supervisor:
    """One instance of the IOC."""

    def __init__(
        self,
        instance: InstanceSettings,
        *,
        launcher: Launcher,
        guardian: Guardian,
        registration: Registration,
        script: ScriptFile,
        use: Load,
        stack: Stack,
        keeper: Keeper,
        pvs: ScriptPvs,
        output: Output,
        publish: Publish,
        witness: Witness,
    ) -> None:
        """Prepare; nothing runs before `begin`.

        Args:
            instance: the settings of the instance.
            launcher: launches the runs, and checks the script.
            guardian: is told of the runs, so that none outlives the IOC.
            registration: registers the instance in the IOC registry.
            script: watches the script's file.
            use: measures what a run uses of the host.
            stack: takes the stacks of a run.
            keeper: keeps what outlives the IOC.
            pvs: the PVs that the script makes.
            output: where the script's output goes.
            publish: shows the readings.
            witness: tells the followers of the instance.
        """
        self.instance = instance
        self._launcher, self._guardian, self._registration = launcher, guardian, registration
        self._script, self._use, self._stack, self._keeper = script, use, stack, keeper
        self._pvs, self._output, self._publish, self._witness = pvs, output, publish, witness
        self._healthy_run = 0  # the last one
        autorestart = keeper.now.autorestart
        self._machine = Lifecycle(
            instance.policy, instance.autorestart if autorestart is None else autorestart
        )
        self._inspection = Inspection(instance.name, self._machine, launcher, stack, publish)
        self._timers = Timers()
        self._reporter = Reporter(instance.name, self._machine, self._timers, output, publish)
        self._run: Run | None = None
        self._heartbeat = Heartbeat()
        # Readings that are current only when somebody reads them: each call publishes its reading.
        self._refreshers: dict[str, Callable[[], Awaitable[None] | None]] = {
            "UPTIME": lambda: self._reporter.show_uptime(self._run),
            "RETRYIN": self._reporter.show_retry,
            **dict.fromkeys(scriptfile.READINGS, script.look),
            **dict.fromkeys(load.READINGS, use.show),
            "CPU": use.show_cpu,
        }
        self._post = EventQueue(self._handle, self._idle).post
        self._tickets, self._background = Tickets(), Background()
        publish("SCRIPT", str(instance.script))
        publish("PYTHON", str(instance.python))
        publish("AUTORESTART", int(self._machine.autorestart))
        registration.show()
        self._reporter.show_state(None)
        if keeper.problem:
            publish("STATUS:MSG", keeper.problem)
            log.warning("%s: %s", instance.name, keeper.problem)

    # --- commands ------------------------------------------------------------------------------

    def begin(self, by: str = "the IOC at its start") -> None:
        """Do what `at_start` says. The IOC does not wait for it."""
        last = self.instance.at_start == "last" and self._keeper.now.wanted is not False
        self._script.look()
        if self.instance.at_start == "run" or last:
            self._post(ev.StartAsked(self._tickets.new(), by))

    async def start(self, by: str) -> None:
        """Start the script; return when it is Running.

        Raises:
            CommandFailed: the command failed; the text says why. So do all commands.
        """
        await self._command(ev.StartAsked, by)

    async def stop(self, by: str) -> None:
        """Stop the script; return when none of its processes lives."""
        await self._command(ev.StopAsked, by)

    async def restart(self, by: str) -> None:
        """Restart the script; return when the new run is Running."""
        await self._command(ev.RestartAsked, by)

    async def check(self, by: str) -> None:
        """Check the script on disk; return if it compiles."""
        await self._inspection.check(by)

    async def stack(self, by: str) -> None:
        """Take the stacks of the run; return when STACK:TEXT has them."""
        await self._inspection.stack(self._run, by)

    def set_autorestart(self, on: bool, by: str) -> None:
        """Switch AUTORESTART, for this IOC and later ones."""
        self._output.remark(f"AUTORESTART {'On' if on else 'Off'} by {by}")
        self._publish("AUTORESTART", int(on))
        self._post(ev.AutorestartSet(on))
        self._keeper.set(replace(self._keeper.now, autorestart=on))

    def take(self, instance: InstanceSettings) -> None:
        """Go by these settings; `settle` shows what is new, and has it decide."""
        self.instance = instance

    def settle(self) -> None:
        """Show the settings that were taken, and decide by them from now on."""
        self._publish("PYTHON", str(self.instance.python))
        self._script.look()
        if self.instance.policy != self._machine.policy:
            self._post(ev.PolicySet(self.instance.policy))
        if self._keeper.now.autorestart is None:  # no client has set it
            self._publish("AUTORESTART", int(self.instance.autorestart))
            self._post(ev.AutorestartSet(self.instance.autorestart))

    async def shutdown(self, why: str = "the IOC is shutting down") -> str:
        """Return when no process of the script lives, or why SIGKILL was of no use."""
        ticket = self._tickets.new()
        failure = await self._completed(ticket, ev.ShutdownAsked(ticket, why))
        self._keeper.close()
        self._pvs.close()
        self._witness.close()
        await self._launcher.end()
        await self._background.end()
        if failure:
            log.error("%s: %s", self.instance.name, failure)
        return failure

    async def _command(self, kind: Callable[[int, str], ev.Event], by: str) -> None:
        ticket = self._tickets.new()
        if failure := await self._completed(ticket, kind(ticket, by)):
            raise CommandFailed(failure)

    async def _completed(self, ticket: int, event: ev.Event) -> str:
        """Post a command; return why it failed, or nothing, when the lifecycle completes it."""
        completed = self._tickets.wait(ticket)
        self._post(event)
        return await completed

    # --- readings ------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Return the state of the instance."""
        return self._machine.state

    def refresh(self, name: str) -> Awaitable[None] | None:
        """Publish a reading as it is now: at once, or when what is returned is done."""
        return self._refreshers[name]()

    def clock_set(self) -> None:
        """Publish the start of the run anew: the wall clock was set."""
        if self._run is not None:
            self._run.clock_set()

    def registry_changed(self) -> None:
        """Publish how far the registry is with this instance."""
        self._registration.show()

    # --- events and effects --------------------------------------------------------------------

    def _handle(self, event: ev.Event) -> None:
        effects = self._machine.handle(event)
        self._attempt(self._witness.seen, event, self._machine)
        for effect in effects:
            self._attempt(self._carry_out, effect)
        self._attempt(self._reporter.show_state, self._run)
        self._attempt(self._keep_wanted)
        self._attempt(self._forget_pvs)

    def _idle(self) -> None:
        if self._machine.state is not State.STOPPING and not self._machine.checking:
            self._attempt(self._launcher.release)

    def _attempt(self, act: Callable[..., object], *arguments: object) -> None:
        """Call something.

        After a fault of the IOC the other effects still follow, and commands complete.
        """
        try:
            act(*arguments)
        except Exception:
            what = arguments[0] if arguments else act
            log.exception("%s: %s failed by a fault of the IOC", self.instance.name, what)

    def _carry_out(self, effect: ev.Effect) -> None:
        match effect:
            case ev.Spawn(run):
                self._spawn(run)
            case ev.Check(ticket):
                self._background.run(self._answer_check(ticket))
            case ev.Signal(_, sign):
                if self._run is not None and self._run.process is not None:
                    self._run.interrupted()
                    self._run.process.send(sign)
                elif self._run is not None:
                    self._run.give_up()
            case ev.TakeStacks(run, why):
                self._background.run(self._keep_stacks(run, why))
            case ev.SetTimer(run, clock, delay):
                elapsed = ev.Elapsed(run, clock)
                self._timers.set(clock, delay, lambda: self._post(elapsed))
            case ev.CancelTimer(clock):
                self._timers.cancel(clock)
            case ev.Complete(ticket, failure):
                self._tickets.complete(ticket, failure)

    def _spawn(self, number: int) -> None:
        self._run = Run(
            number,
            self.instance.name,
            output=self._output,
            publish=self._publish,
            post=self._post,
            guardian=self._guardian,
            registration=self._registration,
            heartbeat=self._heartbeat,
            pvs=self._pvs,
            runs=self._script.runs,
            ended=self._use.ended,
        )
        self._run.launch(self._launcher, str(self.instance.python), self._begun)

    def _begun(self, process: ScriptProcess) -> None:
        """Begin to watch a run that was launched."""
        self._use.begin(process, self._reporter.show_near)
        self._stack.begin()
        self._script.look()
        self._background.run(self._script.show_revision())

    def _keep_wanted(self) -> None:
        if self._machine.run or self._machine.wanted:  # otherwise nobody has wanted anything
            self._keeper.set(replace(self._keeper.now, wanted=self._machine.wanted))

    def _forget_pvs(self) -> None:
        """Forget the PVs that a healthy run has not made."""
        machine = self._machine
        if machine.healthy and machine.run != self._healthy_run:
            self._healthy_run = machine.run
            self._pvs.healthy()

    async def _keep_stacks(self, number: int, why: str) -> None:
        try:
            await self._inspection.keep_stacks(self._run, number, why)
        finally:
            self._post(ev.StacksTaken(number))

    async def _answer_check(self, ticket: int) -> None:
        problem = "the check was given up"
        try:
            problem = await self._inspection.check_for(self._machine.run + 1, self._output.warn)
        finally:
            self._post(ev.Checked(ticket, problem))
