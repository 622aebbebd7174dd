"""Every call that only POSIX (and here Linux) has: sessions, signals, /proc, child reaping, pipes.

A port to Windows writes one more file with these names; nothing here knows what a script is.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import resource
import select
import signal
import termios
import time
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from bgrscrpt_ioc.posix_mark import mark_on

PR_SET_CHILD_SUBREAPER = 36
PIPE_SIZE = 1 << 20  # bytes; the kernel's 64 KiB would make a fast printer wait for us
PROC = Path("/proc")
FREEZE_TRIES = 20

# --- processes as /proc shows them -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    started: int  # clock ticks since boot: tells a process from a later one with the same pid
    stopped: bool


def processes() -> dict[int, Process]:
    """Read the process table, zombies left out: they are dead, only not yet reaped."""
    found: dict[int, Process] = {}
    for entry in os.listdir(PROC):  # noqa: PTH208 - 3 x the speed, and this runs at every death
        if entry.isdigit():
            process = look_up(int(entry))
            if process is not None:
                found[process.pid] = process
    return found


def look_up(pid: int) -> Process | None:
    """Read one process; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
            # proc(5): pid (comm) state ppid pgrp session ... starttime; comm may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    stopped = fields[0] in (b"T", b"t")
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), stopped)


def started_with(pid: int, variable: str) -> str:
    """Tell the value of an environment variable that a process was started with, or ""."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    found = (b"\0" + environ).partition(b"\0" + variable.encode() + b"=")[2]
    return os.fsdecode(found.partition(b"\0")[0])


def own_id() -> str:
    """A name for this process that no other has, before or after it, until the next boot."""
    own = look_up(os.getpid())
    return f"{os.getpid()}.{own.started if own else 0}"


def tree(
    leader: int,
    mark: tuple[str, str],
    known: Iterable[Process] = (),
    everyone: dict[int, Process] | None = None,
    *,
    number: int = 0,
    others: Collection[int] = (),
) -> dict[int, Process]:
    """Find the living processes of a run, in `everyone` if that was read already.

    These are its session, everything below it, what was `known` before to belong to it, and what
    left its session and was adopted by us, the subreaper, but was started with `mark`, a (variable,
    value) of the environment, or has inherited the `number` of `posix_mark`. `others` are children
    of ours that are known to be no adopted ones.
    """
    everyone = processes() if everyone is None else everyone
    children: dict[int, list[int]] = {}
    for process in everyone.values():
        children.setdefault(process.parent, []).append(process.pid)
    waiting = [p.pid for p in everyone.values() if leader in (p.session, p.pid)]
    waiting += [p.pid for p in known if everyone.get(p.pid, p).started == p.started]
    adopted = set(children.get(os.getpid(), ())) - {leader, *others}
    waiting += [
        pid
        for pid in adopted
        if started_with(pid, mark[0]) == mark[1] or (number and mark_on(pid) == number)
    ]
    found: dict[int, Process] = {}
    while waiting:
        pid = waiting.pop()
        if pid in everyone and pid not in found:
            found[pid] = everyone[pid]
            waiting += children.get(pid, ())
    return found


def has_adopted(known: Set[int]) -> bool:
    """Have we, the subreaper, children that are none of the `known`? If in doubt, yes.

    What the kernel lists is complete, because only we, who do not wait for any meanwhile, take
    children from the list. It is a hundred times quicker than a look at all processes.
    """
    try:
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - as above
            with open(f"/proc/self/task/{task}/children", "rb") as file:  # noqa: PTH123 - as above
                if not known >= set(map(int, file.read().split())):
                    return True
    except OSError:  # a thread has ended meanwhile, or the kernel has no such list
        return True
    return False


def started_with_any(variable: str) -> dict[int, str]:
    """Find all processes on this host, ours excepted, that were started with a variable set."""
    found = {pid: started_with(pid, variable) for pid in processes() if pid != os.getpid()}
    return {pid: value for pid, value in found.items() if value}


# --- signals -----------------------------------------------------------------------------------


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to each; who is gone already is no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def send_session(leader: int, number: int) -> None:
    """Send a signal to the process group of a session's leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def freeze(find: Callable[[], dict[int, Process]]) -> dict[int, Process]:
    """Stop all processes that `find` finds, until it finds no other; return them.

    What is killed while it forks leaves a child that nobody has seen; what is stopped does not.
    """
    found: dict[int, Process] = {}
    for _ in range(FREEZE_TRIES):  # what hangs in the kernel does not stop, and does not fork
        found = find()
        moving = [each.pid for each in found.values() if not each.stopped]
        if not moving:
            break
        send(moving, signal.SIGSTOP)
    return found


def describe_exit(status: int) -> tuple[int, str]:
    """Turn a wait status into (exit code, reason): `(3, "exit 3")`, `(-11, "SIGSEGV")`."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code, f"exit {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return code, name + (" (core dumped)" if os.WCOREDUMP(status) else "")


def out_of_memory_kills() -> int:
    """How often the kernel has killed for want of memory, in our cgroup or, without one, at all."""
    with contextlib.suppress(OSError, ValueError):
        own = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        events = Path("/sys/fs/cgroup", own, "memory.events").read_text()
        return int(events.partition("oom_kill ")[2].split()[0])
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/vmstat").read_text().partition("oom_kill ")[2].split()[0])
    return 0


def on_end_asked(call: Callable[[], None]) -> None:
    """Call when somebody wants this process to end: SIGTERM, SIGINT, a terminal that hangs up."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, call)


def kill_and_wait(pids: Iterable[int], timeout: float) -> list[int]:
    """SIGKILL processes that need not be our children; return those that are not gone in time."""
    waiting = select.poll()
    left: dict[int, int] = {}
    deadline = time.monotonic() + timeout
    for pid in pids:
        with contextlib.suppress(OSError):  # gone already, or not ours to kill
            fd = os.pidfd_open(pid)
            left[fd] = pid
            waiting.register(fd, select.POLLIN)
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for fd, _event in waiting.poll(remaining * 1000):
            waiting.unregister(fd)
            os.close(fd)
            del left[fd]
    for fd in left:
        os.close(fd)
    return list(left.values())


# --- reaping -----------------------------------------------------------------------------------


class Reaper:
    """Waits for all our children, adopted ones too, in one place.

    As a subreaper the IOC inherits what scripts leave behind, and must reap it. Two parties that
    wait for children would steal from each other: so nothing else in the IOC may (no asyncio
    subprocess, whose `Process.wait()` hangs besides while a grandchild holds a pipe: CPython
    gh-119710).
    """

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[int], None]] = {}
        self._deaths: set[Callable[[], None]] = set()

    def start(self) -> None:
        """Begin, in the running loop of the main thread."""
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "cannot become a child subreaper")
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.reap)

    def stop(self) -> None:
        """End; children that still live are left to the guardian."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended(status)` when this child of ours is dead."""
        self._watched[pid] = ended

    @property
    def watched(self) -> Set[int]:
        """Our children that somebody watches: none of them was adopted."""
        return self._watched.keys()

    def on_death(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call at each death of a child, until the returned function is called."""
        self._deaths.add(call)
        return lambda: self._deaths.discard(call)

    def reap(self) -> None:
        """Collect every dead child. One SIGCHLD may stand for many."""
        died = False
        for pid, status in dead_children():
            died = True
            ended = self._watched.pop(pid, None)
            if ended is not None:
                ended(status)
        if died:
            for call in tuple(self._deaths):
                call()


def dead_children() -> Iterator[tuple[int, int]]:
    """Reap and yield (pid, status) until no dead child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


# --- pipes and limits --------------------------------------------------------------------------


def hurry(pid: int) -> None:
    """Schedule a process as any other, all its threads: it was at a low priority."""
    for thread in (PROC / f"{pid}/task").glob("*"):
        with contextlib.suppress(OSError):  # it has ended
            os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))


def enlarge_pipe(fd: int) -> None:
    """Give a pipe more room, where the system allows us."""
    with contextlib.suppress(OSError):  # EPERM above /proc/sys/fs/pipe-user-pages-soft
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def readable(fd: int) -> int:
    """How many bytes a pipe holds now."""
    size = array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, size)
    return size[0]


def descriptor_limit() -> int:
    """How many descriptors this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
