"""Threads that live while they have work, whatever goes wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from bgrscrpt_ioc.host.faults import Faults

AGAIN = 1.0  # s after a fault of the IOC until the work goes on

log = logging.getLogger("bgrscrpt_ioc.registry")


def started(work: Callable[[], None], name: str) -> threading.Thread | None:
    """Return a new thread that does this work; None if the system has no thread to give.

    Work that raises is begun again a second later.
    """
    faults = Faults(name)

    def guarded() -> None:
        done = False
        while not done:
            with faults:
                work()
                done = True
            if not done:
                time.sleep(AGAIN)

    # A daemon, because a database that hangs must not keep the IOC from ending.
    thread = threading.Thread(target=guarded, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the next call tries again
        log.error("the registry waits: %s", error)  # noqa: TRY400 - the trace says no more
        return None
    return thread


def lives(thread: threading.Thread | None) -> bool:
    """Return whether a thread is at work."""
    # A thread that a fault has ended is in the log; the next call starts another one.
    return thread is not None and thread.is_alive()
