"""The processes of one script: what they write and say, signals, and how they really ended.

It decides nothing. The lifecycle decides what an end means and what to send when. The host knows
which processes there are, and how to end them.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from bgrscrpt_ioc.host.contract import COOKIE, Allowance, End, Process, Program, RunTree
from bgrscrpt_ioc.host.system import Reaper, Tree
from bgrscrpt_ioc.lifecycle.events import Sign
from bgrscrpt_ioc.process.frames import MessageReader
from bgrscrpt_ioc.process.messages import Message, PvSet, ScriptBegan, ScriptFailed, Skimmed
from bgrscrpt_ioc.process.order import Mode, Order, waiting
from bgrscrpt_ioc.process.spawn import SpawnError, why_not_spawned

GRACE = 0.25  # s for helpers that end by themselves after the script (multiprocessing has one)
# The messages of one script take a bounded part of the IOC's time, however many come.
TURN = 0.0003  # s in which messages are read without a pause: others wait that long
REST = 4.0  # it rests so many times as long as it has read, in the long run
CREDIT = 0.05  # s that may be spent without a rest, by a script that has said little before

CHECK, GO, KEPT = b"c", b"g", b"k"  # what an interpreter in standby is told


class Listener(Protocol):
    """Hears of a run. All calls come from the event loop, none after `cleared`."""

    @property
    def behind(self) -> bool:
        """Return whether more output would be lost: then it waits in the pipe."""
        ...

    def output(self, data: bytes) -> None:
        """Hear what a process has written to stdout or stderr."""

    def said(self, message: Message) -> None:
        """Hear a message of the script's interpreter."""

    def exited(self, code: int, reason: str, survivors: int) -> None:
        """Hear that the script's process has ended; `output` has had all its output before."""

    def cleared(self) -> None:
        """Hear that the last survivor has ended too. Not called if there was none."""


class ScriptProcess:
    """A run: the script's own process and its descendants. It is the listener of its tree."""

    def __init__(
        self,
        order: Order,
        reaper: Reaper,
        listener: Listener,
        mode: Mode = "run",
    ) -> None:
        """Launch the script, in the main thread. If this raises, no process of it lives.

        In standby the interpreter waits for `tell` and `go`, and its output waits in the pipe.

        Raises:
            SpawnError: the interpreter or the working directory cannot be used.
        """
        self._listener = listener
        self._reader = MessageReader()
        self._loop = asyncio.get_running_loop()
        self._confinement = order.confinement
        self._killed = False
        self._killed_for = ""
        self._ran_dry = False  # the script said that it ends because memory ran out
        self._end = (0, "")
        self._exit_told = False
        self._timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.TimerHandle | None = None
        self._credit, self._credited_at = CREDIT, self._loop.time()
        self.pid = 0  # while the launch may still fail, nobody hears of it
        try:
            self._tree: RunTree = Tree(_program(order, mode), reaper, self, waits=mode == "standby")
        except (OSError, ValueError) as error:
            raise SpawnError(why_not_spawned(order, error)) from error
        self.pid, self.mark = self._tree.pid, self._tree.mark
        self.script_pid = self.pid  # differs if `python` is a wrapper that does not exec

    def tell(self, command: bytes) -> bool:
        """Send a command to the script's interpreter.

        Return False if an earlier one still waits.
        """
        return self._tree.tell(command)

    def go(self, listener: Listener) -> None:
        """Run the script; `listener` hears of it from now on."""
        self._listener = listener
        self._tree.begin(GO)

    def tree(self, everyone: dict[int, Process] | None = None) -> dict[int, Process]:
        """Return the living processes of the run (of `everyone`, if given)."""
        return self._tree.processes(everyone)

    def kill(self, reason: str) -> None:
        """Kill all processes for a reason, which becomes the reason of the end."""
        self._killed_for = self._killed_for or reason
        self.send(Sign.KILL)

    def send(self, sign: Sign) -> None:
        """Ask the script to end, or ask or force all processes of the run to end."""
        match sign:
            case Sign.INTERRUPT:
                self._tree.interrupt(self.script_pid)
            case Sign.TERMINATE:
                self._tree.terminate()
            case Sign.KILL:
                self._killed = True
                self._tree.kill()

    def abandon(self) -> None:
        """Kill all processes and wait until they are dead; the listener hears nothing more. Blocks.

        For a launch that fails before anybody has taken the run.
        """
        for timer in (self._timer, self._turn):
            if timer is not None:
                timer.cancel()
        self._tree.abandon()

    # --- contract.TreeListener -------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Return whether the listener is behind."""
        return self._listener.behind

    def wrote(self, data: bytes) -> None:
        """Pass output to the listener."""
        if self.pid:
            self._listener.output(data)

    @property
    def busy(self) -> bool:
        """Return whether some messages wait, or have taken long."""
        return self._turn is not None

    def told(self, data: bytes) -> None:
        """Pass messages to the listener; those that take too long, a little later."""
        if not self.pid:
            return
        self._reader.take(data)
        if self._turn is None:
            self._read_some()

    def _read_some(self) -> None:
        self._turn = None
        begin = time.thread_time()  # CPU time: other processes may have used the processor
        listener, reader = self._listener, self._reader
        for message in reader.read():
            if type(message) is PvSet:  # they come often
                listener.said(message)
            else:
                self._said(message)
            if time.thread_time() - begin > TURN:
                break
        spent = time.thread_time() - begin  # with frames that were no whole messages
        self._spend(spent)
        if self._credit > 0:
            if reader.waits:
                self._turn = self._loop.call_later(0, self._read_some)
            return
        if reader.waits:
            if values := reader.skim():
                listener.said(Skimmed(values))
            skimmed = time.thread_time() - begin - spent
            self._spend(skimmed)
            spent += skimmed
        self._turn = self._loop.call_later(REST * spent, self._read_some)

    def _spend(self, spent: float) -> None:
        now = self._loop.time()
        earned = (now - self._credited_at) / (1 + REST)
        self._credit = min(CREDIT, self._credit + earned) - spent
        self._credited_at = now

    def _read_all(self) -> None:
        """Read all that waits: no more will come."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._reader.shorten()
        while self._reader.waits:
            self._reader.skim()
            for message in self._reader.read():
                self._said(message)

    def _said(self, message: Message) -> None:
        if isinstance(message, ScriptBegan) and message.pid != self.pid:
            # The one message that names a process to signal. It must be one of the run's own.
            self.script_pid = message.pid if message.pid in self.tree() else self.pid
        if isinstance(message, ScriptFailed):
            self._ran_dry = message.error.startswith("MemoryError")
        self._listener.said(message)

    def ended(self, end: End) -> None:
        """Wait a moment for processes that end with the script."""
        self._read_all()
        self._end = (end.code, self._truth(end))
        self._timer = self._loop.call_later(GRACE, self._tell_exit)

    def emptied(self) -> None:
        """Tell the listener that no process lives."""
        self._read_all()
        if self._timer is not None:
            self._timer.cancel()
        if self._exit_told:
            self._listener.cleared()
        else:
            self._exit_told = True
            self._listener.exited(*self._end, 0)

    def _tell_exit(self) -> None:
        if survivors := self._tree.look():  # if there is none, `emptied` has told it
            self._exit_told = True
            self._listener.exited(*self._end, survivors)

    def _truth(self, end: End) -> str:
        """Return what the operating system does not tell of an end."""
        limits = self._confinement.limits
        if not end.killed:
            dry = self._ran_dry and "DATA" in self._confinement.rlimits
            return f"{end.reason} ({limits.memory_text})" if dry else end.reason
        if self._killed_for:
            return self._killed_for
        if self._killed:
            return f"{end.reason} (did not stop)"
        if limits.memory and end.out_of_memory == "cgroup":
            return limits.memory_text
        return f"{end.reason} (out of memory)" if end.out_of_memory else end.reason


def _program(order: Order, mode: Mode) -> Program:
    """Return the program to launch. An interpreter in standby must not be counted as a run."""
    environ = order.environ
    if mode == "standby":
        environ = {**environ, COOKIE: waiting(order.cookie)}
    confinement = order.confinement
    limits = confinement.limits
    return Program(
        order.command,
        order.cwd,
        environ,
        order.stdin(mode),
        order.cookie,
        confinement.cgroup,
        stop_signal=order.stop_signal,
        allowance=Allowance(limits.memory, limits.cpu, limits.tasks, confinement.nice),
    )
