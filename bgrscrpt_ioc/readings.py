"""What the PVs of one instance read, beyond what its run tells: its state, its file, its use.

Decides nothing; asks the lifecycle, the run, the file and the process table.
"""

from __future__ import annotations

import asyncio
import logging

from bgrscrpt_ioc import scriptfile
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.events import Severity, State
from bgrscrpt_ioc.lifecycle import Lifecycle
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.run import Run
from bgrscrpt_ioc.services import Services
from bgrscrpt_ioc.usage import Usage

log = logging.getLogger("bgrscrpt_ioc.supervisor")

USAGE = ("CPU", "MEMORY", "PROCS", "THREADS")
GOING = (State.STARTING, State.RUNNING, State.STOPPING)


class Readings:
    """Of one instance. `run` is its run, if there has been one."""

    def __init__(
        self,
        instance: InstanceSettings,
        services: Services,
        machine: Lifecycle,
        output: Output,
        publish: Publish,
    ) -> None:
        self._instance, self._services, self._machine = instance, services, machine
        self._output, self._publish = output, publish
        self._loop = asyncio.get_running_loop()
        self.run: Run | None = None
        self.retry_at = 0.0  # on the loop's clock
        self._healthy = False
        self._said: tuple[State | None, str] = (None, "")
        self._look: scriptfile.Look | None = None
        self._near: dict[str, str] = {}  # readings near their limit
        self._warned = ""

    def show_state(self, restarts: int) -> None:
        """Publish what the lifecycle has come to."""
        machine = self._machine
        self._publish("STATUS", int(machine.state), machine.severity)
        if (machine.state, machine.message) != self._said:  # else what `check` has said stands
            self._said = (machine.state, machine.message)
            self._publish("STATUS:MSG", machine.message, machine.severity)
            text = f"{machine.state.name.capitalize()}: {machine.message}"
            self._output.remark(text)
            if machine.severity:
                log.warning("%s: %s", self._instance.name, text)
            self.show_uptime()
            self.show_retry()
        self._publish("STARTS", machine.run)
        self._publish("RESTARTS", restarts)
        if machine.healthy and not self._healthy:
            self._publish("ERROR", "")
            self._publish("TRACEBACK", "")
        self._healthy = machine.healthy

    def show_uptime(self) -> None:
        """Publish UPTIME."""
        going = self.run is not None and self._machine.state in GOING
        self._publish("UPTIME", self.run.uptime if self.run and going else 0.0)

    def show_retry(self) -> None:
        """Publish RETRYIN."""
        waiting = self._machine.state is State.BACKOFF
        self._publish("RETRYIN", max(0.0, self.retry_at - self._loop.time()) if waiting else 0.0)

    def show_registration(self) -> None:
        """Publish how far the registry is with this instance."""
        status = self._services.registry.status(self._instance.name)
        self._publish("REGISTERED", int(status.registered), status.severity)
        self._publish("REGISTRY:MSG", status.message, status.severity)

    # --- what the run uses ---------------------------------------------------------------------

    def show_usage(self) -> None:
        """Publish CPU, MEMORY, PROCS and THREADS."""
        usage = self._usage()
        values = (usage.cpu, usage.memory, usage.processes, usage.threads)
        for name, value in zip(USAGE, values, strict=True):
            self._publish(name, value, Severity(name in self._near))

    def _usage(self) -> Usage:
        if self.run is None or self.run.process is None:
            return Usage()
        tree = self.run.process.tree(self._services.processes.read(self.run.since))
        return self.run.meter.measure(tree)

    def compared_with_limits(self) -> None:
        """The run's use was compared with its limits: warn of what is near one."""
        near = self.run.watch.near if self.run and self.run.watch else {}
        if near.keys() != self._near.keys():
            for name in near.keys() - self._near.keys():
                self._output.warn(near[name])
            machine = self._machine
            text = "; ".join([machine.message, *near.values()])
            self._publish("STATUS:MSG", text, max(machine.severity, Severity(bool(near))))
        if near or self._near:
            self._near = near
            self.show_usage()

    # --- the script's file ---------------------------------------------------------------------

    def look_at_script(self) -> None:
        """Publish SCRIPT and what belongs to it, once somebody has had a look at the disk."""
        script, before = self._instance.script, self._look
        self._services.worker.do(
            f"look at the script of {self._instance.name}",
            lambda: scriptfile.look(script, before),
            self._looked,
        )

    def _looked(self, found: scriptfile.Look) -> None:
        self._look = found
        warning = "; ".join(filter(None, (found.open_to_others, self._services.open_config)))
        severity = Severity.MINOR if warning else Severity.NO_ALARM
        if warning and warning != self._warned:
            log.warning("%s: %s", self._instance.name, warning)
        self._warned = warning
        self._publish("SCRIPT", str(self._instance.script), severity)
        self._publish("SCRIPT:MSG", warning, severity)
        running = self.run.began.sha256 if self.run and self.run.began else ""
        self._publish("SCRIPT:CHANGED", int(bool(running) and found.sha256 != running))

    async def show_revision(self) -> None:
        """Publish SCRIPT:GIT."""
        script = self._instance.script
        revision = await scriptfile.git_revision(script, self._services.reaper)
        self._publish("SCRIPT:GIT", revision)
