"""Locks of files and of names on this host, which end with the process that holds them.

This file does not know what is locked.
"""

from __future__ import annotations

import errno
import msvcrt
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pywintypes
import win32api
import win32event
import winerror

from bgrscrpt_ioc.host.windows.names import shared_names

_FAMILY = "bgrscrpt_ioc "  # begin of a mutex's name; only one process can have the mutex
_HOLDER = "bgrscrpt_ioc.pid "  # begin of a second mutex's name, which has the pid of that process
NOBODY_ELSE: Any = None  # security attributes: the default, so this user alone may open it
BEYOND = 1 << 30  # the locked byte, behind the text: nobody else can read locked bytes
TAKEN = (0, errno.EACCES, errno.EDEADLK)  # error numbers of a taken lock; 0: Wine gives no number


class Claim:
    """A claimed name on this host, until the claim is closed or its process ends."""

    def __init__(self, name: str, *mutexes: pywintypes.HANDLEType) -> None:
        self.name, self._mutexes = name, mutexes

    def close(self) -> None:
        """Give the name up."""
        for mutex in self._mutexes:
            mutex.Close()


def lock_file(path: Path, mode: int) -> int | None:
    """Lock a file and return its descriptor; None if another process has the lock.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_BINARY | os.O_NOINHERIT, mode)
    try:
        os.lseek(fd, BEYOND, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        os.close(fd)
        if error.errno in TAKEN:
            return None
        raise OSError(error.errno, f"cannot be locked: {error.strerror}", str(path)) from error
    return fd


def note_holder(descriptor: int) -> None:
    """Write this process's pid into a locked file, for people to read."""
    with suppress(OSError):  # a full disk
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()}\n".encode())


def claim_name(name: str) -> Claim | None:
    """Claim a name on this host, in all sessions; None if another process has it.

    Raises:
        OSError: the name cannot be claimed for another reason.
    """
    mutex = _mutex(_FAMILY + name)
    if mutex is None:
        return None
    holder = _mutex(f"{_HOLDER}{os.getpid()} {name}")
    return Claim(name, mutex, *([holder] if holder else ()))


def _mutex(name: str) -> pywintypes.HANDLEType | None:
    """Make a mutex of this name, in which `/` is allowed; None if such a mutex exists."""
    try:
        mutex = win32event.CreateMutex(NOBODY_ELSE, False, f"Global\\{name}")
    except pywintypes.error as error:
        if error.winerror == winerror.ERROR_ACCESS_DENIED:  # the mutex of another user
            return None
        raise OSError(0, f"{name} cannot be claimed: {error.strerror}") from error
    if win32api.GetLastError() == winerror.ERROR_ALREADY_EXISTS:
        mutex.Close()
        return None
    return mutex


def claimed_by(name: str) -> tuple[int, int] | None:
    """Return (pid, 0) of the process that has claimed a name; None if that is not known."""
    for each in shared_names():
        pid, _, claimed = each.removeprefix(_HOLDER).partition(" ")
        if each.startswith(_HOLDER) and claimed == name and pid.isdecimal():
            return int(pid), 0
    return None


def claimed_names() -> list[str]:
    """Return all names that are claimed on this host. Any program can claim any text."""
    return sorted(each[len(_FAMILY) :] for each in shared_names() if each.startswith(_FAMILY))


def claims() -> dict[str, tuple[int, int] | None]:
    """Return all names that are claimed on this host, each with (pid, 0) of its process."""
    return {name: claimed_by(name) for name in claimed_names()}


def describe_holder(holder: tuple[int, int] | None) -> str:
    """Return a text about the process that `claimed_by` has found."""
    return f"the process {holder[0]}" if holder else "a process of another user: end it"
