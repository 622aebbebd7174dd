"""Waits for all children of the IOC, in one place."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
from collections.abc import Callable, Iterator, Set

from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.posix.handlers import call_no_more_on_signal, call_on_signal
from bgrscrpt_ioc.host.posix.oom import OutOfMemory

PR_SET_CHILD_SUBREAPER = 36

log = logging.getLogger("bgrscrpt_ioc.reaper")


class Reaper:
    """Waits for all our children, including adopted ones.

    As a subreaper the IOC inherits the processes that scripts leave, and must reap them. Two
    parties that wait for children would take them from each other, so nothing else in the IOC may
    wait. (An asyncio subprocess also has a `Process.wait()` that hangs while a grandchild holds a
    pipe: CPython gh-119710.)
    """

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[int], None]] = {}
        self._deaths: set[Callable[[], None]] = set()
        self.memory = OutOfMemory()
        self._faults = Faults("the reaper")

    def start(self) -> None:
        """Begin, in the running loop of the main thread."""
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "cannot become a child subreaper")
        call_on_signal(signal.SIGCHLD, self.reap)

    def stop(self) -> None:
        """End; the guardian takes care of children that still live."""
        call_no_more_on_signal(signal.SIGCHLD)

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended(status)` when this child is dead."""
        self._watched[pid] = ended

    def forget(self, pid: int) -> None:
        """Stop watching this child."""
        self._watched.pop(pid, None)

    def look(self) -> None:
        """Record what explains deaths.

        Call this every few seconds: a death needs an earlier record.
        """
        self.memory.look()

    @property
    def watched(self) -> Set[int]:
        """Return the children that are watched; none of them was adopted."""
        return self._watched.keys()

    def on_death(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call at each death of a child, until the returned function is called."""
        self._deaths.add(call)
        return lambda: self._deaths.discard(call)

    def reap(self) -> None:
        """Collect every dead child; one SIGCHLD may stand for many."""
        died = False
        for pid, status in dead_children():
            died = True
            ended = self._watched.pop(pid, None)
            if ended is not None:
                try:
                    ended(status)
                except Exception:  # a fault with one death must not hide the others
                    log.exception("the end of process %d was not handled", pid)
        if died:
            for call in tuple(self._deaths):
                with self._faults:  # a fault of one run must not keep the others from ending
                    call()


def dead_children() -> Iterator[tuple[int, int]]:
    """Reap dead children, and yield the pid and status of each."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status
