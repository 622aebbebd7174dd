"""A mark that a run's processes inherit, whatever they do to their session and environment.

It only marks and reads marks; whom to signal is for `posix.tree`, the guardian and the sweep.
"""

from __future__ import annotations

import contextlib
import hashlib
import resource
from collections.abc import Iterator

# The soft limit of "file locks" of setrlimit(2): Linux has not enforced it since 2.4.25, but fork
# and exec pass it on, and no daemon's start touches it. Python's `resource` has no name for it.
RLIMIT_LOCKS = 10
RUN_BITS = 22


def mark_of(cookie: str) -> int:
    """The mark of the run with the cookie `IOC/instance/run`; never 0."""
    instance, _, run = cookie.partition("/")[2].rpartition("/")
    return instance_mark(instance) << RUN_BITS | _digest(cookie + run, RUN_BITS)


def instance_mark(instance: str) -> int:
    """The upper bits, the same for all runs of an instance; never 0."""
    return _digest(instance, 39) | 1 << 39


def _digest(text: str, bits: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - bits)


@contextlib.contextmanager
def inherited(mark: int) -> Iterator[None]:
    """Give what is launched meanwhile this mark. In the main thread, where all launches are.

    The IOC has the mark itself for that moment: a child that were marked after its launch could
    have a child of its own by then.
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
    """The mark of a process; 0 when it is gone or another user's."""
    try:
        soft = resource.prlimit(pid, RLIMIT_LOCKS)[0]
    except OSError:
        return 0
    return max(soft, 0)
