"""Runs a program on Windows as procServ does: in a job of its own, with a console that nobody sees.

`python console.py [--detached] PROGRAM ARGUMENTS`. Each line on stdin presses ^C at the console.
(Wine 8 does not pass on ^Break.) `console.py` ends when the program ends, and if `console.py` is
killed, the program ends too. With `--detached` the program has no console, as a service has none.
"""

import ctypes
import os
import subprocess
import sys
import threading
from typing import Any

import win32job

CTRL_C = 0


def press(pid: int) -> None:
    """Press ^C at the console of a process."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.FreeConsole()
    if not kernel.AttachConsole(pid):
        raise OSError(ctypes.get_last_error(), "no console")
    kernel.SetConsoleCtrlHandler(None, True)  # this process ignores it
    kernel.GenerateConsoleCtrlEvent(CTRL_C, 0)
    # Wine's server crashes if the job of a console's host is closed by the last one at the console.
    kernel.FreeConsole()


def listen(pid: int) -> None:
    """Press ^C for each line on stdin."""
    for _ in sys.stdin:
        press(pid)


def main() -> int:
    """Run the program; return its exit code."""
    job: Any = win32job.CreateJobObject(None, "")
    kind = win32job.JobObjectExtendedLimitInformation
    limits = win32job.QueryInformationJobObject(job, kind)
    limits["BasicLimitInformation"]["LimitFlags"] = win32job.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    win32job.SetInformationJobObject(job, kind, limits)
    detached = sys.argv[1] == "--detached"
    program = subprocess.Popen(
        sys.argv[1 + detached :],
        stdin=subprocess.DEVNULL,
        creationflags=subprocess.DETACHED_PROCESS if detached else subprocess.CREATE_NO_WINDOW,
    )
    win32job.AssignProcessToJobObject(job, int(program._handle))  # type: ignore[attr-defined]
    threading.Thread(target=listen, args=[program.pid], daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    os._exit(main() & 0xFF)
