"""Sends signals to processes of a run, and receives those that ask this process to end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable

from bgrscrpt_ioc.host.contract import Process
from bgrscrpt_ioc.host.posix.handlers import call_on_signal

FREEZE_TRIES = 20
STOP_SIGNALS = ("SIGINT", "SIGTERM")  # signals that can ask a script to end


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to each process; one that has ended is no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def send_session(leader: int, number: int) -> None:
    """Send a signal to the process group of a session's leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def freeze(find: Callable[[], dict[int, Process]]) -> dict[int, Process]:
    """Stop (SIGSTOP) the processes that `find` returns until it returns no others; return them.

    A process that is killed while it forks leaves a child that nobody has seen. A stopped one does
    not.
    """
    found: dict[int, Process] = {}
    # What hangs in the kernel does not stop, but does not fork either.
    for _ in range(FREEZE_TRIES):
        found = find()
        moving = [each.pid for each in found.values() if not each.stopped]
        if not moving:
            break
        send(moving, signal.SIGSTOP)
    return found


def on_end_asked(call: Callable[[], None], reload: Callable[[], None] = lambda: None) -> None:
    """Call when somebody wants this process to end: SIGTERM, SIGINT, a terminal that hangs up.

    SIGHUP to a process that has no terminal, as a daemon, calls `reload`. Of one that has a
    terminal, SIGHUP says that the terminal is gone: the kernel sends it, or the shell, or procServ.

    What this process was born ignoring it ignores: `nohup` and a shell's `&` have meant it so.
    """
    hang_up = call if has_terminal() else reload
    for number, act in {
        signal.SIGTERM: call,
        signal.SIGINT: call,
        signal.SIGHUP: hang_up,
    }.items():
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            call_on_signal(number, act)
    # procServ blocks SIGHUP, SIGPIPE and SIGTERM, and its child is born so: nothing would end it.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def has_terminal() -> bool:
    """Tell whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def kill_and_wait(pids: Iterable[int], timeout: float) -> list[int]:
    """Send SIGKILL to processes, which may not be our children.

    Return those that do not end in time.
    """
    waiting = select.poll()
    left: dict[int, int] = {}
    deadline = time.monotonic() + timeout
    for pid in pids:
        with contextlib.suppress(OSError):  # it is gone, or we may not kill it
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
