"""One run of a script: hears its processes, and publishes what is known of it.

It tells the supervisor what the lifecycle must know, and decides nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from bgrscrpt_ioc import events as ev
from bgrscrpt_ioc import messages as msg
from bgrscrpt_ioc.launch import BOOTSTRAP
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.process import ScriptProcess
from bgrscrpt_ioc.registry.pvrows import PvRow, pv_rows
from bgrscrpt_ioc.services import Services
from bgrscrpt_ioc.usage import Meter
from bgrscrpt_ioc.watch import Watch

NOT_STARTED = 127  # exit code where no interpreter ran: the shell's "command not found"
CRASH = "Fatal Python error: "  # faulthandler's first words
DUMP = 8000  # bytes from the end of the output in which a crash's traceback is looked for


class Run:
    """The run with this number; a `process.Listener`."""

    def __init__(
        self,
        number: int,
        name: str,
        *,
        output: Output,
        publish: Publish,
        post: Callable[[ev.Event], None],
        services: Services,
        registry_changed: Callable[[], None],
        own_pvs: Sequence[PvRow],
    ) -> None:
        """Forget what an earlier run said of itself."""
        self.number, self.name = number, name
        self.process: ScriptProcess | None = None
        self.began: msg.ScriptBegan | None = None
        self.meter = Meter()
        self.watch: Watch | None = None  # from its launch on
        self.since = time.monotonic()
        self._output, self._publish, self._post = output, publish, post
        self._services, self._own_pvs = services, own_pvs
        self._registry_changed = registry_changed
        self._registered: set[str] = set()
        self._failure: msg.ScriptFailed | None = None
        self._interrupted = False
        self._recent = b""
        self.clock_set()
        publish("HEARTBEAT", 0)
        publish("MESSAGE", "")
        publish("PROGRESS", 0.0)

    def clock_set(self) -> None:
        """Say when it was launched, by the wall clock as it goes now."""
        self.started = time.time() - self.uptime
        started = datetime.fromtimestamp(self.started).astimezone()
        self._publish("STARTTIME", started.isoformat(timespec="seconds"))

    @property
    def uptime(self) -> float:
        """Seconds since the launch; a set clock does not change it."""
        return time.monotonic() - self.since

    def launched(self, process: ScriptProcess) -> None:
        """The interpreter runs."""
        self.process = process
        if process.has_waited:
            self.meter.begin(process.pid)
        self._services.guardian.open(process.pid, process.mark)
        self._publish("PID", process.pid)

    def not_launched(self, why: str) -> None:
        """There is no interpreter to run."""
        self._failed(why, why)
        self._publish("EXITCODE", NOT_STARTED)
        self._publish("EXITREASON", "not started")
        self._output.warn(why)
        self._post(ev.Exited(self.number, NOT_STARTED, why))

    def interrupted(self) -> None:
        """The IOC asked it to stop: a KeyboardInterrupt is no error of the script now."""
        self._interrupted = True

    # --- process.Listener ----------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """The log file is behind with the output."""
        return self._output.behind

    def output(self, data: bytes) -> None:
        """Keep it for LOG, the file and, should it crash, TRACEBACK."""
        self._recent = (self._recent + data)[-DUMP:]
        self._output.write(data)

    def said(self, message: msg.Message) -> None:
        """Publish it, or have the lifecycle or the registry told."""
        match message:
            case msg.ScriptBegan():
                self._begin(message)
            case msg.ScriptFailed():
                if not (self._interrupted and message.error.startswith("KeyboardInterrupt")):
                    self._failure = message
                    self._failed(message.error, message.traceback)
            case msg.Alive(count):
                self._publish("HEARTBEAT", count)
                self._post(ev.Beat(self.number))
            case msg.Said(text):
                self._publish("MESSAGE", text)
            case msg.Progressed(percent):
                self._publish("PROGRESS", percent)
            case msg.Registered():
                self._register(message)
            case msg.Refused(why):
                self._output.remark(f"a message of the script was refused: {why}")

    def exited(self, code: int, reason: str, survivors: int) -> None:
        """Publish how it ended; the lifecycle says what that means."""
        if self.watch is not None:
            self.watch.stop()
        self._output.end()
        for name in self._registered:
            self._services.registry.stopped(name, time.time())
        self._registry_changed()
        if code < 0 and not self._interrupted:
            self._crashed(reason)
        self._publish("PID", 0)
        self._publish("EXITCODE", code)
        self._publish("EXITREASON", reason)
        if self._failure is not None and code != 0:
            reason = f"{reason}: {self._failure.error}"
        elif self.began is None and code != 0 and not self._interrupted:
            reason = f"{reason} before the script's first line: is `python` a Python interpreter?"
        if not survivors:
            self._let_go()
        self._post(ev.Exited(self.number, code, reason, survivors))

    def cleared(self) -> None:
        """Let go of the run: nothing of it lives."""
        self._output.end()
        self._let_go()
        self._post(ev.Cleared(self.number))

    # --- what they mean ------------------------------------------------------------------------

    def _begin(self, message: msg.ScriptBegan) -> None:
        if self.began is None:
            self.began = message
            pid = self.process.script_pid if self.process else message.pid
            self._publish("PID", pid)
            self._publish("SCRIPT:SHA256", message.sha256)
            self._publish("PYTHON", f"{message.executable} {message.python}")
            self._post(ev.Began(self.number))

    def _register(self, call: msg.Registered) -> None:
        rows, warnings = pv_rows(call.pv_database, call.prefix)
        if call.ioc_name != self.name:
            self._output.warn(f"registered as {call.ioc_name}, but it is {self.name} that runs it")
        for warning in warnings:
            self._output.warn(f"register_ioc_start: {warning}")
        self._registered.add(call.ioc_name)
        self._services.registry.register(
            call.ioc_name,
            pid=self.process.script_pid if self.process else call.pid,
            exe_path=call.exe_path,
            started=self.started,
            pvs=[*self._own_pvs, *rows],
            instance=self.name,
        )
        self._registry_changed()

    def _let_go(self) -> None:
        if self.process is not None:
            self._services.guardian.close(self.process.pid)

    def _failed(self, error: str, traceback: str) -> None:
        self._publish("ERROR", error)
        self._publish("TRACEBACK", traceback)

    def _crashed(self, reason: str) -> None:
        """Ended by a signal: faulthandler's words in the output say where, if there are any."""
        dump = self._recent.decode("utf-8", "replace").rpartition(CRASH)
        if not dump[1]:
            self._failed(reason, "")
            return
        ours = re.compile(rf'^ *File "{re.escape(str(BOOTSTRAP))}".*\n?', re.MULTILINE)
        traceback = ours.sub("", CRASH + dump[2])
        self._failed(f"{reason}: {traceback.partition(chr(10))[0]}", traceback)
