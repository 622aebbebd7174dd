"""A thread that cannot die unseen: when its work raises an exception, the whole script ends.

A thread of Python that dies leaves its script running, and a script that does nothing then looks
alive. For the examples that work in a thread, because ISIS's scripts expect them to return at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType

GRACE = 30.0  # s for `finally:` and `atexit` of the script, before it is ended without them

_death: BaseException | None = None  # of the first thread that died


class WorkerThread(threading.Thread):
    """A daemon thread that does `work`, which is given or which a subclass has.

    When `work` raises an exception, the main thread raises it too: `finally:` and `atexit` of the
    script run, the traceback is printed, and the exit code is 1.
    """

    def __init__(self, name: str, work: Callable[[], None] | None = None) -> None:
        """Prepare a thread of this name; `start` it in the main thread."""
        super().__init__(name=name, daemon=True)
        self._given = work

    def start(self) -> None:
        """Start to work."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupted)
        super().start()

    def work(self) -> None:
        """Do the thread's work."""
        if self._given is not None:
            self._given()

    def run(self) -> None:
        """Work; when that fails, end the script."""
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - a SystemExit would end this thread, unseen
            _end_script(self.name, error)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Handle SIGINT in the main thread: raise what a thread died of, else KeyboardInterrupt."""
    if _death is not None:
        raise _death
    signal.default_int_handler(number, frame)


def _end_script(name: str, error: BaseException) -> None:
    """Interrupt the main thread, which may sleep; end the process if that does not help."""
    global _death  # noqa: PLW0603 - a process ends once
    if not isinstance(error, Exception):  # SystemExit(0) of a thread is no success of the script
        error, cause = RuntimeError(f"{name} has died of {error!r}"), error
        error.__cause__ = cause
    _death = error
    sys.stderr.write(f"{name} has died: the script ends\n")  # one write: other threads print, too
    if signal.getsignal(signal.SIGINT) is not _interrupted:  # else it is printed at the end
        traceback.print_exception(type(error), error, error.__traceback__)
    last_resort = threading.Timer(GRACE, _exit, [name])
    last_resort.daemon = True
    last_resort.start()
    if hasattr(signal, "pthread_kill"):
        ident = threading.main_thread().ident
        signal.pthread_kill(ident or 0, signal.SIGINT)
    else:  # Windows: wakes the main thread from whichever thread it comes
        signal.raise_signal(signal.SIGINT)


def _exit(name: str) -> None:
    """End the process at once: the script has caught the exception and goes on."""
    sys.stderr.write(f"{name} has died and the script did not end: ended\n")
    sys.stderr.flush()
    os._exit(1)
