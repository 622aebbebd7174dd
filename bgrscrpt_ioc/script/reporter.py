"""Publishes STATUS and the PVs that belong to it, from the lifecycle of an instance.

It decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bgrscrpt_ioc.lifecycle.events import Clock, Severity, State
from bgrscrpt_ioc.lifecycle.table import Lifecycle
from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.script.run import Run
from bgrscrpt_ioc.script.timers import Timers

GOING = (State.STARTING, State.RUNNING, State.STOPPING)

log = logging.getLogger("bgrscrpt_ioc.supervisor")


class Reporter:
    """The reporter of one instance."""

    def __init__(
        self, name: str, machine: Lifecycle, timers: Timers, output: Output, publish: Publish
    ) -> None:
        self._name, self._machine, self._timers = name, machine, timers
        self._output, self._publish = output, publish
        self._healthy = False
        self._restarts = 0
        self._run = 0
        self._said: tuple[State | None, str] = (None, "")

    def show_state(self, run: Run | None) -> None:
        """Publish the state of the lifecycle; `run` is the newest run, if there is one."""
        machine = self._machine
        message = visible(machine.message)
        self._publish("STATUS", int(machine.state), machine.severity)
        if machine.run > max(self._run, 1):
            self._output.divide(f"run {machine.run}: {message}")
        if (machine.state, message) != self._said:  # otherwise the message of a check stays
            self._said = (machine.state, message)
            self._publish("STATUS:MSG", message, machine.severity)
            text = f"{machine.state.name.capitalize()}: {message}"
            self._output.remark(text)
            if machine.severity:
                log.warning("%s: %s", self._name, text)
            self.show_uptime(run)
            self.show_retry()
        if machine.run != self._run:
            self._run = machine.run
            self._restarts += machine.automatic
        self._publish("STARTS", machine.run)
        self._publish("RESTARTS", self._restarts)
        if machine.healthy and not self._healthy and not machine.part_died:
            self._publish("ERROR", "")
            self._publish("TRACEBACK", "")
        self._healthy = machine.healthy

    def show_uptime(self, run: Run | None) -> None:
        """Publish UPTIME."""
        going = run is not None and self._machine.state in GOING
        self._publish("UPTIME", run.uptime if run and going else 0.0)

    def show_retry(self) -> None:
        """Publish RETRYIN."""
        self._publish("RETRYIN", self._timers.left(Clock.RETRY))

    def show_near(self, limits: Sequence[str]) -> None:
        """Publish which limits the run is near, beside the reason of its state."""
        machine = self._machine
        text = "; ".join([visible(machine.message), *limits])
        self._publish("STATUS:MSG", text, max(machine.severity, Severity(bool(limits))))
