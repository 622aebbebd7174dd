"""The processes of one run: the leader of a session, and its descendants.

It knows no script and decides nothing. `contract.RunTree` says what each method does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from bgrscrpt_ioc.host.contract import COOKIE, End, Process, Program, TreeListener
from bgrscrpt_ioc.host.posix import processes as table
from bgrscrpt_ioc.host.posix.cgroup import Cgroup
from bgrscrpt_ioc.host.posix.exits import describe_exit
from bgrscrpt_ioc.host.posix.mark import inherited, mark_of
from bgrscrpt_ioc.host.posix.pipe import Inlet, Pipe, enlarge_pipe, shrink_pipe
from bgrscrpt_ioc.host.posix.reaper import Reaper
from bgrscrpt_ioc.host.posix.signals import freeze, kill_and_wait, send, send_session

RESCAN = 0.02  # s between two looks at the process table, so that a burst of deaths causes one look
TRACKERS = 2.0  # s for multiprocessing's resource trackers to free what was shared
AT_ONCE = 1 << 16  # bytes of messages that are read at a time
SOON = 0.0005  # s between two reads of messages: somebody may wait for each value
PATIENCE = 5.0  # s after SIGKILL; a process that still lives hangs in the kernel

log = logging.getLogger("bgrscrpt_ioc.tree")


class Tree:
    """The processes of one run, from its launch on."""

    def __init__(
        self, program: Program, reaper: Reaper, listener: TreeListener, *, waits: bool = False
    ) -> None:
        """Launch the leader, in the main thread: the parent-death signal is tied to the thread.

        Raises:
            OSError: the leader cannot be launched.
            ValueError: `stdin` is longer than a pipe can hold.
        """
        self._listener, self._reaper = listener, reaper
        self._stop = signal.Signals[program.stop_signal]
        self._loop = asyncio.get_running_loop()
        self._cookie = (COOKIE, program.cookie)
        self.mark = mark_of(program.cookie)
        self._place = Cgroup(Path(program.cgroup)) if program.cgroup else None
        self._cgroup: Cgroup | None = None  # from when it may be in the cgroup
        self._waits, self._ended_at_all, self._closed = waits, False, False
        self._complained = False
        self._known: dict[int, Process] = {}
        self._trackers: set[int] = set()
        self._forget: Callable[[], None] | None = None
        self._rescan: asyncio.TimerHandle | None = None
        self._last: asyncio.TimerHandle | None = None
        self._pipes: list[Pipe] = []
        reaper.look()
        with inherited(self.mark):
            self._leader, messages, self._output, stdin = _launch(program)
        self.pid = self._leader.pid
        self._stdin = Inlet(stdin)
        try:
            self._pipes.append(
                Pipe(messages, listener.told, lambda: listener.busy, chunk=AT_ONCE, pace=SOON)
            )
            if not waits:
                self._begin()
            reaper.watch(self.pid, self._ended)
        except BaseException:
            self.abandon()
            raise

    def tell(self, data: bytes) -> bool:
        """Write to the pipe of the leader's orders."""
        return self._leader.returncode is None and self._stdin.write(data)

    def begin(self, word: bytes = b"") -> None:
        """Let a leader that waits begin."""
        if self._waits:
            self.tell(word)
            self._begin()

    def _begin(self) -> None:
        """Note that the leader enters its cgroup by itself; read what it writes."""
        self._waits, self._cgroup = False, self._place
        self._read_output()

    def _read_output(self) -> None:
        listener = self._listener
        self._pipes.append(Pipe(self._output, listener.wrote, lambda: listener.behind))
        self._output = -1

    # --- who belongs to it -----------------------------------------------------------------------

    def processes(self, everyone: dict[int, Process] | None = None) -> dict[int, Process]:
        """Return the living processes (of `everyone`, if given), and remember them."""
        others = self._reaper.watched
        if self._leader.returncode is not None and not table.has_adopted(others):
            self._known = {}  # the leader is dead, and we adopt all that outlives it
            return self._known
        self._known = table.tree(
            self.pid,
            self._cookie,
            self._known.values(),
            everyone,
            number=self.mark,
            others=others,
        )
        if self._cgroup is not None:
            self._known |= self._cgroup.processes(self._known)
        return self._known

    def _count(self) -> int:
        # A process that forks and ends all the time is never seen in the process table.
        return len(self.processes()) or int(self._cgroup is not None and self._cgroup.populated)

    # --- signals ---------------------------------------------------------------------------------

    def interrupt(self, pid: int) -> None:
        """Ask one process to end."""
        if self._leader.returncode is None:
            send([pid], self._stop)

    def terminate(self) -> None:
        """Send SIGTERM to all processes."""
        send_session(self.pid, signal.SIGTERM)
        send(self.processes(), signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to all processes.

        To resource trackers last, after some time for their work.
        """
        if self._last is not None:
            send(freeze(self._users), signal.SIGKILL)
            return
        found = self.processes().keys() - {self.pid}
        self._trackers = {pid for pid in found if table.is_tracker(pid)}
        if not self._trackers:
            self._kill_all()
            return
        self._last = self._loop.call_later(TRACKERS, self._kill_all)
        send(freeze(self._users), signal.SIGKILL)

    def _users(self) -> dict[int, Process]:
        """Return all processes except the resource trackers."""
        return {pid: each for pid, each in self.processes().items() if pid not in self._trackers}

    def _kill_all(self) -> None:
        self._last = None
        if self._cgroup is not None:
            self._cgroup.kill()
        send(freeze(self.processes), signal.SIGKILL)

    def abandon(self) -> None:
        """Kill all processes and wait until they are dead; tell nobody."""
        self._reaper.forget(self.pid)
        victims = freeze(self.processes)
        if self._cgroup is not None:
            self._cgroup.kill()
        kill_and_wait({self.pid, *victims}, PATIENCE)
        self._ended_at_all = True
        self._leader.returncode = -signal.SIGKILL
        self._close()
        if self._output >= 0:
            os.close(self._output)
        self._output = -1

    # --- its end ---------------------------------------------------------------------------------

    def _ended(self, status: int) -> None:
        """Pass on that the leader is dead and reaped."""
        code, reason = describe_exit(status)
        self._leader.returncode = code  # otherwise Popen would wait for a child that is not its own
        killed = code == -signal.SIGKILL
        end = End(code, reason, killed, self._out_of_memory() if killed else "")
        if self._waits:
            self._waits = False
            self._read_output()
        for pipe in self._pipes:
            pipe.drain()
        self._ended_at_all = True
        self._forget = self._reaper.on_death(self._look_soon)
        self._listener.ended(end)
        self.look()

    def _out_of_memory(self) -> Literal["", "cgroup", "host"]:
        if self._cgroup is not None and (kills := self._cgroup.out_of_memory_kills) is not None:
            return "cgroup" if kills else ""
        return "host" if self._reaper.memory.killed_one() else ""

    def _look_soon(self) -> None:
        if self._rescan is None:
            self._rescan = self._loop.call_later(RESCAN, self._look_again)

    def _look_again(self) -> None:
        """Look whether the process that has died was the last one of the run."""
        self._rescan = None
        if self.look() and not self._known:
            self._look_soon()  # between two forks, or not quite dead: nobody tells us when

    def look(self) -> int:
        """Return how many processes live; call `emptied` if none does."""
        try:
            count = self._count()
        except OSError as error:  # no descriptor is left to read the process table
            self._complain(error)
            self._look_soon()
            return max(1, len(self._known))
        if not count and self._ended_at_all and not self._closed:
            self._close()
            self._listener.emptied()
        return count

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            log.warning("the processes of run %s cannot be seen: %s", self._cookie[1], error)

    def _close(self) -> None:
        """Pass on what the last processes wrote, and close everything."""
        self._closed = True
        for timer in (self._rescan, self._last):
            if timer is not None:
                timer.cancel()
        if self._forget is not None:
            self._forget()
        if self._cgroup is not None:
            self._cgroup.remove()
        for pipe in self._pipes:
            pipe.drain()
            pipe.close()
        self._stdin.close()


def _launch(program: Program) -> tuple[subprocess.Popen[bytes], int, int, int]:
    """Start the leader in a session of its own.

    Returns it, the descriptors to read its stdout and its stderr from, and the one to write its
    stdin.
    """
    pipes: list[tuple[int, int]] = []
    try:
        for _ in range(3):
            pipes.append(os.pipe())  # noqa: PERF401 - those made must be closed if one cannot be
        (stdin, to_stdin), (messages, stdout), (output, stderr) = pipes
        enlarge_pipe(output)
        enlarge_pipe(to_stdin)
        os.set_blocking(to_stdin, False)
        # Written before the leader exists, so that no reader can fail.
        if os.write(to_stdin, program.stdin) != len(program.stdin):
            raise ValueError("more than a pipe takes")  # noqa: TRY301 - closes them, as others do
        shrink_pipe(to_stdin)
        leader = subprocess.Popen(  # noqa: S603 - the command is the configuration's, no client's
            program.command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=program.cwd,
            env=dict(program.environ),
            start_new_session=True,
        )
    except BaseException:
        for fd in (fd for pipe in pipes for fd in pipe):
            os.close(fd)
        raise
    for fd in (stdin, stdout, stderr):
        os.close(fd)
    return leader, messages, output, to_stdin
