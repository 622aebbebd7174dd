"""A Job Object: the kernel's set of the processes of one run, with limits.

When the last handle of the job is closed, the kernel ends all its processes. So they end with the
IOC, however the IOC ends. No process can leave the job. Jobs can be nested, so the IOC also works
in a job of procServ.
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
CONSOLES = 1  # processes of the system that a job counts: the console of a run
WALL = 2  # factor: the job limits committed memory, which is more than the used memory

log = logging.getLogger("bgrscrpt_ioc.job")


class Job:
    """The job of one run."""

    def __init__(self, allowance: Allowance) -> None:
        """Make an empty job with these limits.

        Raises:
            OSError: the job cannot be made.
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
        """Limit the processor time of the job, in % of one core."""
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
        """Start the leader, in the job from its first instruction on.

        Args:
            command: program and arguments.
            pipes: descriptors for stdin, stdout and stderr of the leader.
            cwd: working directory of the leader.
            environ: whole environment of the leader.

        Raises:
            OSError: the leader cannot be started, or not in the job.
        """
        stdin, stdout, stderr = pipes
        leader = subprocess.Popen(  # noqa: S603 - the command is the configuration's, no client's
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=dict(environ),
            # A console without a window. Programs that the leader starts share this console, so
            # they open no window either.
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
        """Add a running process, and with it all processes that it starts from now on.

        Raises:
            OSError: the process cannot be added.
        """
        handle = int(process._handle)  # type: ignore[attr-defined]
        try:
            win32job.AssignProcessToJobObject(self._handle, handle)
        except pywintypes.error as error:
            raise OSError(0, str(error.strerror)) from error

    def pids(self) -> set[int]:
        """Return the pids of all living processes of the job, the console included."""
        kind = win32job.JobObjectBasicProcessIdList
        return set(win32job.QueryInformationJobObject(self._handle, kind))

    def kill(self, code: int) -> None:
        """Kill all processes; `code`, at least 0x80000000, becomes their exit code."""
        with contextlib.suppress(pywintypes.error):  # the job is empty
            win32job.TerminateJobObject(self._handle, code - (1 << 32))  # the code is a C long

    def close(self) -> None:
        """Close the job; the kernel ends the processes that are still in it."""
        self._handle.Close()


def _priority(nice: int) -> int:
    """Return the priority class nearest to a niceness of 1 to 19."""
    if nice >= 10:
        return win32process.IDLE_PRIORITY_CLASS
    return win32process.BELOW_NORMAL_PRIORITY_CLASS
