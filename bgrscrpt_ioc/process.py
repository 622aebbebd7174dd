"""One script's processes: what they write and say, signals, and the truth of their end.

It decides nothing: what an end means, and what to send when, is the lifecycle's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.events import Sign
from bgrscrpt_ioc.launch import COOKIE, Launch, Mode, waiting
from bgrscrpt_ioc.messages import Message, MessageReader, ScriptBegan, ScriptFailed
from bgrscrpt_ioc.pipe import Pipe
from bgrscrpt_ioc.posix import Process, Reaper
from bgrscrpt_ioc.posix_cgroup import Cgroup
from bgrscrpt_ioc.posix_mark import inherited, mark_of
from bgrscrpt_ioc.spawn import popen

GRACE = 0.25  # s for helpers that end by themselves once the script has (multiprocessing has one)
RESCAN = 0.02  # s between two looks at the process table: one look for a burst of deaths

CHECK, GO = b"c", b"g"  # what an interpreter in standby is told


class Listener(Protocol):
    """Who hears of a run. All calls come from the event loop, none after `cleared`."""

    @property
    def behind(self) -> bool:
        """More output would be lost: let it wait in the pipe for now."""
        ...

    def output(self, data: bytes) -> None:
        """Something was written to stdout or stderr, by whichever process."""

    def said(self, message: Message) -> None:
        """The script's interpreter sent a message."""

    def exited(self, code: int, reason: str, survivors: int) -> None:
        """The script is gone; all that it wrote was given to `output` before."""

    def cleared(self) -> None:
        """The last survivor is gone too. Not called when there was none."""


class ScriptProcess:
    """A run: the script's own process, the leader of a session, and all that comes of it."""

    def __init__(
        self,
        launch: Launch,
        reaper: Reaper,
        listener: Listener,
        mode: Mode = "run",
    ) -> None:
        """Launch it. Must be called in the main thread: the parent-death signal is a thread's.

        In standby it waits for `tell` and `go`, and what it writes waits in the pipe.

        Raises:
            SpawnError: the interpreter or the working directory cannot be used.
        """
        self._listener, self._reaper = listener, reaper
        self._mark = (COOKIE, launch.cookie)
        self.mark = mark_of(launch.cookie)
        self._loop = asyncio.get_running_loop()
        self._oom_kills = posix.out_of_memory_kills()
        self._known: dict[int, Process] = {}
        self._confinement = launch.confinement
        self._cgroup: Cgroup | None = None
        self._killed = False
        self.has_waited = False  # in standby
        self._killed_for = ""
        self._ran_dry = False  # it said that it ends for want of memory
        self._end = (0, "")
        self._exit_told = False
        self._forget: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rescan: asyncio.TimerHandle | None = None

        if mode == "standby":
            environ = {**launch.environ, COOKIE: waiting(launch.cookie)}
            launch = replace(launch, environ=environ)
        with inherited(self.mark):
            self._popen, messages, self._output, commands = popen(launch, launch.order(mode))
        self._commands = os.fdopen(commands, "wb", buffering=0)
        self.pid = self._popen.pid
        self.script_pid = self.pid  # differs where `python` is a wrapper that does not exec
        reader = MessageReader()
        self._pipes = [Pipe(messages, lambda data: self._hear(reader, data))]
        if mode != "standby":
            self._commands.close()
            self._listen()
        if mode == "run":
            self._cgroup = self._place()
        reaper.watch(self.pid, self._ended)

    def tell(self, command: bytes) -> None:
        """Tell an interpreter in standby."""
        with contextlib.suppress(BrokenPipeError):  # it is dead, which is told by `exited`
            self._commands.write(command)

    def go(self, listener: Listener) -> None:
        """Have it run the script, which `listener` hears of from now on."""
        self._listener, self.has_waited = listener, True
        self._cgroup = self._place()
        posix.hurry(self.pid)
        self.tell(GO)
        self._commands.close()
        self._listen()

    def _place(self) -> Cgroup | None:
        """The cgroup that it runs in, if it has one."""
        cgroup = self._confinement.cgroup
        return Cgroup(Path(cgroup)) if cgroup else None

    def _listen(self) -> None:
        """Read what it writes."""
        listener = self._listener
        self._pipes.append(Pipe(self._output, listener.output, lambda: listener.behind))

    def tree(self, everyone: dict[int, Process] | None = None) -> dict[int, Process]:
        """Find the living processes of the run (in `everyone`, if given), and remember them."""
        others = self._reaper.watched
        if self._popen.returncode is not None and not posix.has_adopted(others):
            self._known = {}  # its leader is dead, and all that outlives a leader we adopt
            return self._known
        self._known = posix.tree(
            self.pid,
            self._mark,
            self._known.values(),
            everyone,
            number=self.mark,
            others=others,
        )
        if self._cgroup is not None:
            self._known |= self._cgroup.processes(self._known)
        return self._known

    @property
    def _lives(self) -> bool:
        # A process that forks and ends all the time is in no reading of the process table.
        return bool(self.tree()) or (self._cgroup is not None and self._cgroup.populated)

    def kill(self, reason: str) -> None:
        """Kill all of it for what it did; that is how it ended, then."""
        self._killed_for = self._killed_for or reason
        self.send(Sign.KILL)

    def send(self, sign: Sign) -> None:
        """Send SIGINT to the script, or another signal to all processes of the run."""
        if sign is Sign.INTERRUPT:
            if self._popen.returncode is None:
                posix.send([self.script_pid], signal.SIGINT)
            return
        if sign is Sign.KILL:
            self._killed = True
            if self._cgroup is not None:
                self._cgroup.kill()
            posix.send(posix.freeze(self.tree), signal.SIGKILL)
        else:
            posix.send_session(self.pid, signal.SIGTERM)
            posix.send(self.tree(), signal.SIGTERM)

    def _hear(self, reader: MessageReader, data: bytes) -> None:
        for message in reader.feed(data):
            if isinstance(message, ScriptBegan) and message.pid != self.pid:
                # The one message that names whom to signal: believed only of the run's own.
                self.script_pid = message.pid if message.pid in self.tree() else self.pid
            if isinstance(message, ScriptFailed):
                self._ran_dry = message.error.startswith("MemoryError")
            self._listener.said(message)

    def _ended(self, status: int) -> None:
        """The leader is dead and reaped."""
        code, reason = posix.describe_exit(status)
        self._popen.returncode = code  # else Popen would wait for a child that is not its own
        if not self._commands.closed:
            self._commands.close()
            self._listen()
        for pipe in self._pipes:
            pipe.drain()
        self._end = (code, self._truth(code, reason))
        if self._lives:
            self._forget = self._reaper.on_death(self._look_soon)
            self._timer = self._loop.call_later(GRACE, self._tell_exit)
        else:
            self._tell_exit()

    def _truth(self, code: int, reason: str) -> str:
        """What the wait status does not tell of an end."""
        limits = self._confinement.limits
        if code != -signal.SIGKILL:
            dry = self._ran_dry and "DATA" in self._confinement.rlimits
            return f"{reason} ({limits.memory_text})" if dry else reason
        if self._killed_for:
            return self._killed_for
        if self._killed:
            return f"{reason} (did not stop)"
        if limits.memory and self._cgroup is not None and self._cgroup.out_of_memory_kills:
            return limits.memory_text
        if posix.out_of_memory_kills() > self._oom_kills:
            return f"{reason} (out of memory)"
        return reason

    def _look_soon(self) -> None:
        if self._rescan is None:
            self._rescan = self._loop.call_later(RESCAN, self._look)

    def _look(self) -> None:
        """Something has died: was it the last of ours?"""
        self._rescan = None
        if self._lives:
            if not self._known:  # between two forks, or not quite dead: nobody tells us when
                self._look_soon()
            return
        if self._exit_told:
            self._close()
            self._listener.cleared()
        else:
            self._tell_exit()

    def _tell_exit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._exit_told = True
        survivors = len(self.tree()) or int(self._lives)
        if not survivors:
            self._close()
        self._listener.exited(*self._end, survivors)

    def _close(self) -> None:
        """Take what the last processes wrote, and let go of everything."""
        if self._forget is not None:
            self._forget()
        if self._rescan is not None:
            self._rescan.cancel()
        if self._cgroup is not None:
            self._cgroup.remove()
        for pipe in self._pipes:
            pipe.drain()
            pipe.close()
