"""Reads the process table of Windows, and tells which processes are consoles of the system."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Iterator
from ctypes import wintypes

import psutil

from bgrscrpt_ioc.host.contract import Process

SNAP_PROCESSES = 0x2  # TH32CS_SNAPPROCESS
CONSOLE = "conhost.exe"


class Entry(ctypes.Structure):
    """PROCESSENTRY32W."""

    _fields_ = (
        ("size", wintypes.DWORD),
        ("usage", wintypes.DWORD),
        ("pid", wintypes.DWORD),
        ("heap", ctypes.c_size_t),
        ("module", wintypes.DWORD),
        ("threads", wintypes.DWORD),
        ("parent", wintypes.DWORD),
        ("priority", wintypes.LONG),
        ("flags", wintypes.DWORD),
        ("program", wintypes.WCHAR * 260),
    )


def _entries() -> Iterator[tuple[int, int, str]]:
    """Yield (pid, parent's pid, file name of the program) of each process."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateToolhelp32Snapshot.restype = wintypes.HANDLE
    snapshot = wintypes.HANDLE(kernel.CreateToolhelp32Snapshot(SNAP_PROCESSES, 0))
    entry = Entry(size=ctypes.sizeof(Entry))
    try:
        found = kernel.Process32FirstW(snapshot, ctypes.byref(entry))
        while found:
            yield entry.pid, entry.parent, entry.program
            found = kernel.Process32NextW(snapshot, ctypes.byref(entry))
    finally:
        kernel.CloseHandle(snapshot)


def processes() -> dict[int, Process]:
    """Return the process table: all living processes by pid."""
    return {pid: Process(pid, parent, 0, 0, False) for pid, parent, _ in _entries()}


def look_up(pid: int) -> Process:
    """Return a living process by its pid."""
    return Process(pid, 0, 0, 0, False)


def consoles(pids: Collection[int]) -> set[int]:
    """Return the pids that are console hosts, which the system itself starts and ends."""
    return {pid for pid, _, program in _entries() if pid in pids and program.lower() == CONSOLE}


def own_id() -> str:
    """Return a name for this process that no earlier or later process has."""
    return f"{os.getpid()}.{psutil.Process().create_time():.0f}"
