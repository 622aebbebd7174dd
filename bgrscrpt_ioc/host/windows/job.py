"""A Job Object: the processes of one run, as the kernel knows them, and their limits.

The kernel ends all of them when the last handle of the job is closed. So they end with the IOC,
however it ends. No process can leave the job. Jobs nest, so procServ's own job does no harm.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pywintypes
import win32job
import win32process

from bgrscrpt_ioc.host.contract import Allowance

CREATE_SUSPENDED = 0x4
CPU_RATE_CONTROL = 15  # JobObjectCpuRateControlInformation, which pywin32 does not have
ENABLE_HARD_CAP = 0x1 | 0x4
CONSOLES = 1  # system processes that a job counts: the console of a run
WALL = 2  # times the memory: committed memory is more than used memory, which the IOC watches

log = logging.getLogger("bgrscrpt_ioc.job")


class Job:
    """The job of one run."""

    def __init__(self, allowance: Allowance) -> None:
        """Make the job, without a process.

        Raises:
            OSError: it cannot be made.
        """
        try:
            self._handle: Any = win32job.CreateJobObject(None, "")
            self._confine(allowance)
        except pywintypes.error as error:
            raise OSError(0, f"no job can be made: {error.strerror}") from error

    def _confine(self, allowance: Allowance) -> None:
        kind = win32job.JobObjectExtendedLimitInformation
        limits = win32job.QueryInformationJobObject(self._handle, kind)
        basic = limits["BasicLimitInformation"]
        flags = win32job.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
        if allowance.memory:
            flags |= win32job.JOB_OBJECT_LIMIT_JOB_MEMORY
            limits["JobMemoryLimit"] = WALL * allowance.memory
        if allowance.processes:
            flags |= win32job.JOB_OBJECT_LIMIT_ACTIVE_PROCESS
            basic["ActiveProcessLimit"] = allowance.processes + CONSOLES
        if allowance.nice:
            flags |= win32job.JOB_OBJECT_LIMIT_PRIORITY_CLASS
            basic["PriorityClass"] = _priority(allowance.nice)
        basic["LimitFlags"] = flags
        win32job.SetInformationJobObject(self._handle, kind, limits)
        if allowance.cpu:
            self._cap(allowance.cpu)

    def _cap(self, cpu: float) -> None:
        """Limit the job to this processor time, in % of one core."""
        rate = max(1, round(100 * cpu / (os.cpu_count() or 1)))  # 1/100 % of all cores
        wanted = struct.pack("<II", ENABLE_HARD_CAP, min(rate, 10_000))
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = ctypes.c_void_p(int(self._handle))
        if not kernel.SetInformationJobObject(handle, CPU_RATE_CONTROL, wanted, len(wanted)):
            why = ctypes.FormatError(ctypes.get_last_error())
            log.warning("cpu_max: this system does not hold a run to it: %s", why)

    def launch(
        self, command: Sequence[str], pipes: Sequence[int], cwd: Path, environ: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start the leader, which is in the job before its first instruction.

        Args:
            command: program and arguments.
            pipes: descriptors for its stdin, stdout and stderr.
            cwd: its working directory.
            environ: its whole environment.

        Raises:
            OSError: it cannot be started.
        """
        stdin, stdout, stderr = pipes
        leader = subprocess.Popen(  # noqa: S603 - the command is the configuration's, no client's
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=dict(environ),
            # A console without a window. The leader's own programs share it, and open no window
            # either.
            creationflags=CREATE_SUSPENDED | subprocess.CREATE_NO_WINDOW,
        )
        try:
            self.add(leader)
            psutil.Process(leader.pid).resume()
        except (OSError, psutil.Error) as error:
            leader.kill()
            leader.wait()
            raise OSError(0, f"it cannot be held in a job: {error}") from error
        return leader

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Add a process that runs already, and all that it starts from now on.

        Raises:
            OSError: it cannot be added.
        """
        handle = int(process._handle)  # type: ignore[attr-defined]
        try:
            win32job.AssignProcessToJobObject(self._handle, handle)
        except pywintypes.error as error:
            raise OSError(0, str(error.strerror)) from error

    def pids(self) -> set[int]:
        """Return all processes that live in the job, including the console's."""
        kind = win32job.JobObjectBasicProcessIdList
        return set(win32job.QueryInformationJobObject(self._handle, kind))

    def kill(self, code: int) -> None:
        """End all processes by force, with an exit code of 0x80000000 or more."""
        with contextlib.suppress(pywintypes.error):  # no process lives there
            win32job.TerminateJobObject(self._handle, code - (1 << 32))  # the code is a C long

    def close(self) -> None:
        """Close the job: the kernel ends the processes that still live in it."""
        self._handle.Close()


def _priority(nice: int) -> int:
    """Return the priority class that is nearest to a niceness of 1 to 19."""
    if nice >= 10:
        return win32process.IDLE_PRIORITY_CLASS
    return win32process.BELOW_NORMAL_PRIORITY_CLASS
