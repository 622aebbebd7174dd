"""Runs a program on Windows as procServ does: in a job of its own, with a console that nobody sees.

`python console.py [--detached] PROGRAM ARGUMENTS`. Each line on stdin presses ^C at the console.
(Wine 8 does not pass on ^Break.) `console.py` ends when the program ends, and if `console.py` is
killed, the program ends too. With `--detached` the program has no console, as a service has none.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
import threading
from typing import Any

import pywintypes
import win32api
import win32con
import win32job
import win32process

CTRL_C = 0
MOST = 64  # processes at one console


def press(pid: int) -> None:
    """Press ^C at the console of a process: as Windows does, by a thread in each that is there.

    With Wine's GenerateConsoleCtrlEvent a process begins this thread in a signal handler of its
    first thread. Wine 8 does not keep the signal off while that thread begins a program: glibc's
    `fork` then has the locks of `malloc`, and the handler waits for them for ever.
    """
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.FreeConsole()
    if not kernel.AttachConsole(pid):
        raise OSError(ctypes.get_last_error(), "no console")
    pids = (ctypes.c_uint * MOST)()
    count = kernel.GetConsoleProcessList(pids, MOST)
    # Wine's server crashes if the job of a console's host is closed by the last one at the console.
    kernel.FreeConsole()
    routine = ctypes.cast(kernel.CtrlRoutine, ctypes.c_void_p).value  # everywhere the same address
    for each in pids[:count]:
        if each != os.getpid():
            with contextlib.suppress(pywintypes.error):  # it has ended
                process: Any = win32api.OpenProcess(win32con.PROCESS_ALL_ACCESS, False, each)
                begin: Any = win32process.CreateRemoteThread  # whose stub does not know None
                begin(process, None, 0, routine, CTRL_C, 0)


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
