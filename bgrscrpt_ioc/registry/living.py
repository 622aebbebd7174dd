"""Tells whether a process of this host is the one in a row of the registry."""

from __future__ import annotations

import contextlib

SLACK = 2.0  # s: a row has whole seconds, and is written after its process has begun


def lives(pid: int | None, started: int) -> bool:
    """Return whether the process with this pid lives and began before the row was written."""
    import psutil  # imported here, because few rows need it

    if pid is not None and pid > 0:
        with contextlib.suppress(psutil.Error, OverflowError):
            return psutil.Process(pid).create_time() <= started + SLACK
    return False
