"""Describes in the words of EXITREASON how a process has ended."""

from __future__ import annotations

import os
import signal


def describe_exit(status: int) -> tuple[int, str]:
    """Return the exit code and the reason of a wait status: `(3, "exit 3")`, `(-11, "SIGSEGV")`."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code, f"exit {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return code, name + (" (core dumped)" if os.WCOREDUMP(status) else "")
