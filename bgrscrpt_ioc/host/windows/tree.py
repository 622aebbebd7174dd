"""The processes of one run: a job, its leader, and three pipes.

This file knows no script and decides nothing. `contract.RunTree` describes each method.
"""

from __future__ import annotations

import _winapi
import asyncio
import contextlib
import json
import logging
import msvcrt
import os
import subprocess
import threading

from bgrscrpt_ioc.host.contract import End, Process, Program, TreeListener
from bgrscrpt_ioc.host.windows.exits import KILLED, describe_exit
from bgrscrpt_ioc.host.windows.job import Job
from bgrscrpt_ioc.host.windows.pipe import MESSAGES, ROOM, Inlet, Pipe, inbound, outbound
from bgrscrpt_ioc.host.windows.processes import consoles
from bgrscrpt_ioc.host.windows.reaper import Reaper

# The system reports an empty job, but does not guarantee the report
# (JOBOBJECT_ASSOCIATE_COMPLETION_PORT). So, after the death of the leader, we look at the job until
# it is empty.
RESCAN = 0.02  # s between two looks
AT_ONCE = 1 << 16  # bytes of messages to read at once
SOON = 0.002  # s between two reads of messages: a client may wait for each value
PATIENCE = 5000  # ms after the kill; a process that still lives then hangs in the kernel
STOP = {"kind": "stop"}  # a command to the script's bootstrap

_LIVING: set[Tree] = set()

log = logging.getLogger("bgrscrpt_ioc.tree")


class Tree:
    """The processes of one run, from the launch on."""

    def __init__(
        self,
        program: Program,
        reaper: Reaper,  # noqa: ARG002 - the contract's: here the kernel tells of each end by itself
        listener: TreeListener,
        *,
        waits: bool = False,
    ) -> None:
        """Launch the leader.

        Raises:
            OSError: the leader cannot be launched.
            ValueError: `stdin` is longer than a pipe can hold.
        """
        self._listener, self._waits = listener, waits
        self._loop = asyncio.get_running_loop()
        self.mark = 0  # no mark is needed: the job has all processes of the run
        self._did_not_stop = False
        self._ended = self._closing = self._closed = False
        self._rescan: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._pipes: list[Pipe] = []
        self._consoles: set[int] = set()
        self._seen: set[int] = set()
        self._job = Job(program.allowance)
        try:
            self._leader, messages, self._output, commands = _launch(program, self._job)
        except BaseException:
            self._job.close()
            raise
        self.pid = self._leader.pid
        self._commands = Inlet(commands)
        try:
            self._pipes.append(
                Pipe(messages, listener.told, lambda: listener.busy, chunk=AT_ONCE, pace=SOON)
            )
            if not waits:
                self._read_output()
            threading.Thread(target=self._wait, name=f"wait {self.pid}", daemon=True).start()
            _LIVING.add(self)
        except RuntimeError as error:  # the system has no more threads
            self.abandon()
            raise OSError(0, str(error)) from error

    def tell(self, data: bytes) -> bool:
        """Write to the leader's stdin, which its bootstrap later uses as the command pipe.

        Drop `data` and return False if the leader is dead or has not read earlier data.
        """
        return self._commands.write(data)

    def tell_soon(self, data: bytes) -> None:
        """Call `tell` from another thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the IOC has ended
            self._loop.call_soon_threadsafe(self.tell, data)

    def begin(self, word: bytes = b"") -> None:
        """Let a waiting leader begin."""
        if self._waits:
            self.tell(word)
            self._waits = False
            self._read_output()

    def _read_output(self) -> None:
        listener = self._listener
        self._pipes.append(Pipe(self._output, listener.wrote, lambda: listener.behind))
        self._output = 0

    # --- who belongs to it -----------------------------------------------------------------------

    def processes(self, everyone: dict[int, Process] | None = None) -> dict[int, Process]:  # noqa: ARG002 - the contract's
        """Return the living processes of the run, without the consoles that the system adds."""
        if self._closed:
            return {}
        found = self._job.pids()
        if new := found - self._seen - {self.pid}:
            self._consoles |= consoles(new)
        self._seen = found
        self._consoles &= found
        return {pid: Process(pid, 0, self.pid, 0, False) for pid in found - self._consoles}

    # --- how it is ended -------------------------------------------------------------------------

    def interrupt(self, pid: int) -> None:  # noqa: ARG002 - the bootstrap that reads the pipe is it
        """Make the bootstrap raise SIGINT in the script, as ^C does."""
        self.tell(json.dumps(STOP).encode() + b"\n")

    def terminate(self) -> None:
        """Kill all processes: Windows has no step between a request and a kill."""
        self._did_not_stop = True
        self.kill()

    def kill(self) -> None:
        """Kill all processes."""
        if not self._closed:
            self._job.kill(KILLED)

    def abandon(self) -> None:
        """Kill all processes and wait until they are dead. The listener hears nothing."""
        for waiting in (self._task, self._rescan):
            if waiting is not None:
                waiting.cancel()
        self._ended = self._closing = True
        self._job.kill(KILLED)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._leader.wait(PATIENCE / 1000)
        self._close()
        if self._output:
            _winapi.CloseHandle(self._output)
            self._output = 0

    # --- its end ---------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for the leader, in a thread: only its handle tells of its end."""
        code = self._leader.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: the IOC has ended
            self._loop.call_soon_threadsafe(self._died, code)

    def _died(self, code: int) -> None:
        if not self._closing:
            self._task = self._loop.create_task(self._end(code))

    async def _end(self, status: int) -> None:
        """Tell the listener how the leader ended, after all of its output."""
        code, reason = describe_exit(status)
        killed = status & 0xFFFFFFFF == KILLED
        if killed and self._did_not_stop:
            reason += " (did not stop)"
        if self._waits:
            self._waits = False
            self._read_output()
        for pipe in self._pipes:
            await pipe.drain()
        self._ended = True
        try:
            self._listener.ended(End(code, reason, killed))
        except Exception:  # a fault of the IOC must not prevent the call of `emptied`
            log.exception("the end of process %d was not handled", self.pid)
        self._look_again()

    def look(self) -> int:
        """Return how many processes live. If none lives, call `emptied` soon."""
        count = len(self.processes())
        if not count and self._ended and not self._closing:
            self._closing = True
            self._task = self._loop.create_task(self._empty())
        return count

    def _look_again(self) -> None:
        self._rescan = None
        if self.look():
            self._rescan = self._loop.call_later(RESCAN, self._look_again)

    async def _empty(self) -> None:
        for pipe in self._pipes:
            await pipe.drain()
        self._close()
        self._listener.emptied()

    def _close(self) -> None:
        """Close everything."""
        if self._closed:
            return
        self._closed = True
        if self._rescan is not None:
            self._rescan.cancel()
        self._job.close()
        for pipe in self._pipes:
            pipe.close()
        self._commands.close()
        _LIVING.discard(self)


def tree_of(pid: int) -> Tree | None:
    """Return the tree of a process; None if this IOC has not started it."""
    return next((tree for tree in tuple(_LIVING) if pid in tree.processes()), None)


def _launch(program: Program, job: Job) -> tuple[subprocess.Popen[bytes], int, int, int]:
    """Start the leader in the job.

    Return the leader, the handles to read its stdout and stderr, and the handle to write its stdin.
    """
    ours: list[int] = []
    theirs: list[int] = []
    try:
        stdin, commands = outbound(ROOM)
        ours.append(commands)
        theirs.append(msvcrt.open_osfhandle(stdin, os.O_RDONLY))
        for room, messages in ((MESSAGES, True), (ROOM, False)):
            read, write = inbound(room, messages=messages)
            ours.append(read)
            theirs.append(msvcrt.open_osfhandle(write, 0))
        if _winapi.WriteFile(commands, program.stdin)[0] != len(program.stdin):
            raise ValueError("more than a pipe takes")  # noqa: TRY301 - closes them, as others do
        # Grandchildren that are Python print UTF-8 too. The bootstrap tells the script itself.
        environ = {"PYTHONIOENCODING": "utf-8", **program.environ}
        leader = job.launch(program.command, theirs, program.cwd, environ)
    except BaseException:
        for handle in ours:
            _winapi.CloseHandle(handle)
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return leader, ours[1], ours[2], ours[0]
