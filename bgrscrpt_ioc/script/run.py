"""One run of a script: hears from its processes, and publishes what is known of the run.

It tells the lifecycle what the lifecycle must know, and decides nothing. A fault of the IOC is
logged. No such fault keeps the true end of the run from the lifecycle.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from bgrscrpt_ioc.host.faults import FAULT
from bgrscrpt_ioc.host.system import Guardian
from bgrscrpt_ioc.lifecycle import events as ev
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.process import messages as msg
from bgrscrpt_ioc.process.process import ScriptProcess
from bgrscrpt_ioc.process.spawn import UNREACHED, SpawnError, why_not_begun
from bgrscrpt_ioc.script.apicalls import EVERY, ApiCalls
from bgrscrpt_ioc.script.failure import cause, crash, error_shown, traceback_shown
from bgrscrpt_ioc.script.heartbeat import Heartbeat
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.paced import Paced
from bgrscrpt_ioc.script.pvs import ScriptPvs
from bgrscrpt_ioc.script.registration import Registration

NOT_STARTED = 127  # exit code where no interpreter ran: the shell's "command not found"
DUMP = 8000  # bytes of the end of the output in which a crash's traceback is looked for
APART = 10.0  # s between two lines of the log about threads of one run that died

log = logging.getLogger("bgrscrpt_ioc.run")


class Run:
    """One run; a `process.Listener`."""

    def __init__(
        self,
        number: int,
        name: str,
        *,
        output: Output,
        publish: Publish,
        post: Callable[[ev.Event], None],
        guardian: Guardian,
        registration: Registration,
        heartbeat: Heartbeat,
        pvs: ScriptPvs,
        runs: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        """Prepare.

        `runs` hears the SHA-256 of the text that runs, `ended` that the run has ended.
        """
        self.number, self._name = number, name
        self.process: ScriptProcess | None = None
        self._since = time.monotonic()
        self._output, self._publish, self._post = output, publish, post
        self._pvs, self._runs, self._ended = pvs, runs, ended
        self._guardian, self._registration, self._heartbeat = guardian, registration, heartbeat
        self._began = False
        self._python = ""
        self._launching = False  # the disks with its files have not answered yet
        self._failure: msg.ScriptFailed | None = None
        self._interrupted = False
        self._recent = b""
        self._quiet = False  # it ends by the KeyboardInterrupt that the IOC asked for
        self._calls = ApiCalls(
            number,
            publish=publish,
            post=post,
            warn=output.warn,
            pvs=pvs,
            registration=registration,
            heartbeat=heartbeat,
            started=lambda: self._started,
            surviving=self._surviving,
        )
        self._errors, self._deaths = Paced(EVERY), Paced(APART)
        heartbeat.begin()
        with self._surviving("the registry"):
            registration.began()

    @property
    def uptime(self) -> float:
        """Return the seconds since the launch. Setting the wall clock does not change them."""
        return time.monotonic() - self._since

    @property
    def _started(self) -> float:
        """Return when the run was launched, by the wall clock of now: seconds since the epoch."""
        return time.time() - self.uptime

    def clock_set(self) -> None:
        """Publish when the run was launched, by the wall clock of now."""
        started = datetime.fromtimestamp(self._started).astimezone()
        self._publish("STARTTIME", started.isoformat(timespec="seconds"))

    def launch(
        self, launcher: Launcher, python: str, begun: Callable[[ScriptProcess], None]
    ) -> None:
        """Launch the run when its files have answered; `begun` is called with its process.

        If there is no process, `Exited` is posted. If there is one, a fault of the IOC kills it,
        and only its true end is posted.
        """
        self._python, self._launching = python, True
        try:
            launcher.reach_for(self.number, lambda: self._launch(launcher, begun))
        except Exception:
            self._launching = False
            log.exception("%s: run %d could not be launched", self._name, self.number)
            self._not_launched(FAULT)

    def give_up(self) -> None:
        """Do not launch the run, if its files have not answered yet."""
        if self._launching:
            self._launching = False
            self._not_launched(UNREACHED)

    def _launch(self, launcher: Launcher, begun: Callable[[ScriptProcess], None]) -> None:
        if not self._launching:
            return  # it was given up meanwhile
        self._launching = False
        try:
            self.process = launcher.launch(self.number, self)
        except SpawnError as error:
            self._not_launched(str(error))
            return
        except Exception:
            log.exception("%s: run %d could not be launched", self._name, self.number)
            self._not_launched(FAULT)
            return
        try:
            self._guardian.open(self.process.pid, self.process.mark)
            self._calls.launched(self.process)
            self._publish("PID", self.process.pid)
            self._publish("HEARTBEAT", self._heartbeat.count)
            self._publish("MESSAGE", "")
            self._publish("PROGRESS", 0.0)
            self._runs("")
            self.clock_set()
            begun(self.process)
        except Exception:
            log.exception("%s: run %d, launched, is killed", self._name, self.number)
            self.process.kill(FAULT)

    def interrupted(self) -> None:
        """Note that the IOC asked the run to stop: from now on a KeyboardInterrupt is no error."""
        self._interrupted = True
        self._output.hold()
        self._pvs.stopping()

    # --- process.Listener ----------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Return whether the log file is behind with the output."""
        return self._output.behind

    def output(self, data: bytes) -> None:
        """Keep output for LOG, for the log file and, if the interpreter crashes, for TRACEBACK."""
        with self._surviving("its output"):
            self._recent = (self._recent + data[-DUMP:])[-DUMP:]
            self._output.write(data)

    def said(self, message: msg.Message) -> None:
        """Publish a message of the script, or pass it to the lifecycle or the registry."""
        try:
            if type(message) is msg.PvSet:  # they come often
                self._calls.heard(message)
            else:
                self._said(message)
        except Exception:  # noqa: BLE001 - as in `_surviving`
            self._lost("a message")

    def exited(self, code: int, reason: str, survivors: int) -> None:
        """Publish how the script's process ended; the lifecycle decides what follows."""
        why = reason
        with self._surviving("its exit"):
            why = self._exited(code, reason)
        if not survivors:
            self._let_go()
        self._post(ev.Exited(self.number, code, why, survivors))

    def cleared(self) -> None:
        """End the run: none of its processes lives."""
        for end in (self._flush, self._output.end):
            with self._surviving("its end"):
                end()
        self._let_go()
        self._post(ev.Cleared(self.number))

    @contextmanager
    def _surviving(self, what: str) -> Iterator[None]:
        """Log a fault of the IOC in a context, and go on: the end of the run must be told."""
        try:
            yield
        except Exception:  # noqa: BLE001 - it is logged
            self._lost(what)

    def _lost(self, what: str) -> None:
        log.exception("%s: run %d: %s is lost by a fault of the IOC", self._name, self.number, what)

    # --- what they mean ------------------------------------------------------------------------

    def _said(self, message: msg.Message) -> None:
        match message:
            case msg.ScriptBegan():
                self._begin(message)
            case msg.ScriptFailed():
                if self._interrupted and message.error.startswith("KeyboardInterrupt"):
                    self._quiet = True
                else:
                    self._failure = message
                    self._failed(message.error, message.traceback)
            case msg.ThreadDied():
                self._errors.ask(lambda: self._show_death(message))
                self._deaths.ask(lambda: self._part_died(message))
            case _:
                self._calls.heard(message)

    def _flush(self) -> None:
        """Publish what waits: the script says no more."""
        self._calls.flush()
        self._errors.flush()
        self._deaths.flush()

    def _show_death(self, message: msg.ThreadDied) -> None:
        # Otherwise the end of the run has ended the thread.
        if self._failure is None and not self._interrupted:
            with self._surviving("the death of a thread"):
                self._failed(f"{message.who}: {message.error}", message.traceback)

    def _part_died(self, message: msg.ThreadDied) -> None:
        """Let the lifecycle decide what the death of a thread or a task means for the run."""
        more = f" ({message.more} more died before it)" if message.more else ""
        what = f"{message.who} died of {cause(message.error)}{more}"
        self._post(ev.PartDied(self.number, what))

    def _begin(self, message: msg.ScriptBegan) -> None:
        if not self._began:
            self._began = True
            with self._surviving("its beginning"):
                pid = self.process.script_pid if self.process else message.pid
                self._publish("PID", pid)
                self._runs(message.sha256)
                self._publish("PYTHON", f"{message.executable} {message.python}")
            self._post(ev.Began(self.number))

    def _exited(self, code: int, reason: str) -> str:
        """Publish how the script's process ended; return why."""
        why = reason
        if self._failure is not None and code != 0:
            why = f"{reason}: {cause(self._failure.error)}"
        elif not self._began and code >= 0 and not self._interrupted:
            why = why_not_begun(self._python, reason, self._recent)
        for end in (
            self._flush, self._pvs.ended, self._ended, self._end_output, self._registration.ended,
        ):  # fmt: skip
            with self._surviving("its end"):
                end()
        if code < 0 and not self._interrupted:
            self._failed(*crash(reason, self._recent))
        self._publish("PID", 0)
        self._publish("EXITCODE", code)
        self._publish("EXITREASON", reason)
        return why

    def _end_output(self) -> None:
        self._output.end(quietly=self._quiet)

    def _not_launched(self, why: str) -> None:
        """Publish why there is no process, and end the run."""
        with self._surviving("why it was not launched"):
            self._failed(why, why)
            self._publish("EXITCODE", NOT_STARTED)
            self._publish("EXITREASON", "not started")
            self._output.warn(why)
        self._post(ev.Exited(self.number, NOT_STARTED, why))

    def _let_go(self) -> None:
        if self.process is not None:
            with self._surviving("its session"):
                self._guardian.close(self.process.pid)

    def _failed(self, error: str, traceback: str) -> None:
        self._publish("ERROR", error_shown(error))
        self._publish("TRACEBACK", traceback_shown(traceback))
