"""Carries out what a running script calls in `bgrscrpt` and in ISIS's `register_ioc_start`.

A script may call as often as it likes, so calls of each kind are paced: the newest counts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from bgrscrpt_ioc.lifecycle import events as ev
from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.output.output import Publish
from bgrscrpt_ioc.process import messages as msg
from bgrscrpt_ioc.process.process import ScriptProcess
from bgrscrpt_ioc.script.failure import error_shown
from bgrscrpt_ioc.script.heartbeat import Heartbeat
from bgrscrpt_ioc.script.paced import Few, Paced, Sparing
from bgrscrpt_ioc.script.pvs import NotServedError, ScriptPvs
from bgrscrpt_ioc.script.registration import Registration

EVERY = 0.1  # s between two posts of the same PV
MANY = 1000  # values of PVs that are left out before the script's user is told
TOO_FAST = "PVs are set faster than the IOC takes values; it shows the newest of each PV"


class ApiCalls:
    """The calls of one run."""

    def __init__(
        self,
        number: int,
        *,
        publish: Publish,
        post: Callable[[ev.Event], None],
        warn: Callable[[str], None],
        pvs: ScriptPvs,
        registration: Registration,
        heartbeat: Heartbeat,
        started: Callable[[], float],
        surviving: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        """Prepare; no script runs yet.

        Args:
            number: the number of the run.
            publish: shows a reading.
            post: tells the lifecycle.
            warn: writes a line to the script's log.
            pvs: the PVs that the script makes.
            registration: what the IOC registry has of the instance.
            heartbeat: the heartbeats of the instance.
            started: returns when the run was launched, in seconds since the epoch.
            surviving: a context that logs a fault of the IOC in what it names, and goes on.
        """
        self._number, self._publish, self._post, self._warn = number, publish, post, warn
        self._pvs, self._registration, self._heartbeat = pvs, registration, heartbeat
        self._started, self._surviving = started, surviving
        self._process: ScriptProcess | None = None
        self._early: list[msg.PvMade | msg.PvSet] = []  # came before the process was known
        self._beats, self._texts, self._percents = Paced(EVERY), Paced(EVERY), Paced(EVERY)
        self._refusals, self._odd_values = Sparing(warn), Sparing(warn)
        self._complaints = Few(warn)
        self._skimmed = 0  # values of PVs that were not shown

    def launched(self, process: ScriptProcess) -> None:
        """Carry out what `process` calls, from now on.

        An interpreter in standby imports modules before, and they may have made PVs.
        """
        self._process = process
        self._pvs.began(process.tell)
        early, self._early = self._early, []
        for message in early:
            with self._surviving("a message"):
                self.heard(message)

    def heard(self, message: msg.Message) -> None:
        """Carry out a call."""
        match message:
            case msg.PvSet():  # comes first, because it comes often
                self._set_pv(message)
            case msg.PvMade():
                self._make_pv(message)
            case msg.Alive(count, calls):
                with self._surviving("a heartbeat"):
                    self._heartbeat.beat(count, calls)
                self._beats.ask(self._beat)
            case msg.Said(text):
                self._texts.ask(lambda: self._say("MESSAGE", text))
            case msg.Progressed(percent):
                self._percents.ask(lambda: self._say("PROGRESS", percent))
            case msg.Registered():
                self._registration.register(
                    message,
                    pid=self._process.script_pid if self._process else message.pid,
                    started=self._started(),
                    warn=self._warn,
                )
            case msg.PutEnded():
                self._pvs.put_ended(message)
            case msg.Skimmed(values):
                self._skimmed += values
                if self._skimmed > MANY:
                    self._complain(TOO_FAST, is_error=False)
            case msg.Complained(text, is_error):
                self._complain(text, is_error=is_error)
            case msg.Refused(why):
                self._refusals.say(f"a message of the script was refused: {why}")
            case _:  # about the run itself: see run.py
                pass

    def flush(self) -> None:
        """Publish what waits, and say how much was left out: the script calls no more."""
        for paced in (self._beats, self._texts, self._percents):
            paced.flush()
        for warnings in (self._refusals, self._odd_values, self._complaints):
            with self._surviving("its end"):
                warnings.end()

    def _make_pv(self, made: msg.PvMade) -> None:
        if self._process is None:
            self._early.append(made)
            return
        try:
            self._pvs.make(made)
        except NotServedError as error:
            self._complain(f"the PV {made.name} is not served: {error}", is_error=True)

    def _set_pv(self, value: msg.PvSet) -> None:
        if self._process is None:
            self._early.append(value)
            return
        try:
            self._pvs.set(value)
        except ValueError as error:
            self._odd_values.say(f"a value of the PV {visible(value.name)} is lost: {error}")

    def _complain(self, text: str, *, is_error: bool) -> None:
        """Tell the script's user what is wrong with how the script uses `bgrscrpt`."""
        self._complaints.say(text)
        if is_error:
            self._publish("ERROR", error_shown(text))

    def _beat(self) -> None:
        self._say("HEARTBEAT", self._heartbeat.count)
        self._post(ev.Beat(self._number))

    def _say(self, name: str, value: str | float) -> None:
        with self._surviving(name):
            self._publish(name, value)
