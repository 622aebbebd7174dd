"""A mark that a run's processes inherit, whatever they do to their session and environment.

This file only sets and reads marks. The tree, the guardian and the sweep decide whom to signal.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

from bgrscrpt_ioc.host.digest import sha256_of

# The soft limit of "file locks" of setrlimit(2). Linux has not enforced it since 2.4.25, but fork
# and exec pass it on, and daemons do not change it when they start. Python's `resource` has no name
# for it.
RLIMIT_LOCKS = 10
RUN_BITS = 21  # distinguish the runs of an instance
IOC_BITS = 20  # distinguish the IOC processes that launch runs
INSTANCE_BITS = 20  # distinguish instances; one more bit is always set


def mark_of(cookie: str) -> int:
    """Return the mark of the run with the cookie `IOC/instance/run`; never 0."""
    ioc, _, rest = cookie.partition("/")
    instance = rest.rpartition("/")[0]
    upper = instance_mark(instance) << IOC_BITS | ioc_mark(ioc)
    return upper << RUN_BITS | _digest(cookie, RUN_BITS)


def instance_mark(instance: str) -> int:
    """Return the upper bits, which are the same for all runs of an instance; never 0."""
    return 1 << INSTANCE_BITS | _digest(instance, INSTANCE_BITS)


def ioc_mark(ioc: str) -> int:
    """Return the middle bits, which are the same for all runs of one IOC process."""
    return _digest(ioc, IOC_BITS)


def parts(mark: int) -> tuple[int, int]:
    """Return (instance_mark, ioc_mark) of a run's mark."""
    return mark >> (RUN_BITS + IOC_BITS), mark >> RUN_BITS & ((1 << IOC_BITS) - 1)


def _digest(text: str, bits: int) -> int:
    return int(sha256_of(text.encode())[:16], 16) >> (64 - bits)


@contextlib.contextmanager
def inherited(mark: int) -> Iterator[None]:
    """Give this mark to what is launched in the context.

    Only for the main thread, which launches all.

    The IOC itself has the mark for that moment. If a child were marked after its launch, it could
    already have a child without the mark.
    """
    soft, hard = resource.getrlimit(RLIMIT_LOCKS)
    usable = hard == resource.RLIM_INFINITY or mark <= hard
    if usable:
        resource.setrlimit(RLIMIT_LOCKS, (mark, hard))
    try:
        yield
    finally:
        if usable:
            resource.setrlimit(RLIMIT_LOCKS, (soft, hard))


def mark_on(pid: int) -> int:
    """Return the mark of a process; 0 if it is gone or belongs to another user."""
    try:
        soft = resource.prlimit(pid, RLIMIT_LOCKS)[0]
    except OSError:
        return 0
    return max(soft, 0)
