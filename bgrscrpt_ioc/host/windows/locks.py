"""Locks that end with the process that has them: of a file, and of a name on this host.

Nothing here knows what is locked.
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

_FAMILY = "bgrscrpt_ioc "  # a mutex that only one process can have
_HOLDER = "bgrscrpt_ioc.pid "  # a mutex whose name tells that process's pid
NOBODY_ELSE: Any = None  # security attributes: the default, for this user alone
BEYOND = 1 << 30  # the byte that is locked: nobody else could read what stands in a locked one
TAKEN = (0, errno.EACCES, errno.EDEADLK)  # Wine gives no error number


class Claim:
    """A name on this host, until it is closed or its process ends."""

    def __init__(self, name: str, *mutexes: pywintypes.HANDLEType) -> None:
        self.name, self._mutexes = name, mutexes

    def close(self) -> None:
        """Give it up."""
        for mutex in self._mutexes:
            mutex.Close()


def lock_file(path: Path, mode: int) -> int | None:
    """Take an exclusive lock; None when another process has it.

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
    """Write this process's pid into a file that it has locked, for people to read."""
    with suppress(OSError):  # a full disk
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()}\n".encode())


def claim_name(name: str) -> Claim | None:
    """Claim a name on this host, in all sessions; None when it is taken.

    Raises:
        OSError: it cannot be claimed for another reason.
    """
    mutex = _mutex(_FAMILY + name)
    if mutex is None:
        return None
    holder = _mutex(f"{_HOLDER}{os.getpid()} {name}")
    return Claim(name, mutex, *([holder] if holder else ()))


def _mutex(name: str) -> pywintypes.HANDLEType | None:
    """Make a mutex of this name, which `/` may be in; None if there is one."""
    try:
        mutex = win32event.CreateMutex(NOBODY_ELSE, False, f"Global\\{name}")
    except pywintypes.error as error:
        if error.winerror == winerror.ERROR_ACCESS_DENIED:  # another user's
            return None
        raise OSError(0, f"{name} cannot be claimed: {error.strerror}") from error
    if win32api.GetLastError() == winerror.ERROR_ALREADY_EXISTS:
        mutex.Close()
        return None
    return mutex


def claimed_by(name: str) -> tuple[int, int] | None:
    """(pid, 0) of who has claimed the name; None if that is not known."""
    for each in shared_names():
        pid, _, claimed = each.removeprefix(_HOLDER).partition(" ")
        if each.startswith(_HOLDER) and claimed == name and pid.isdecimal():
            return int(pid), 0
    return None


def claimed_names() -> list[str]:
    """Return all names that are claimed on this host now; anybody can claim any text."""
    return sorted(each[len(_FAMILY) :] for each in shared_names() if each.startswith(_FAMILY))


def claims() -> dict[str, tuple[int, int] | None]:
    """Return all names that are claimed on this host now, with who has each."""
    return {name: claimed_by(name) for name in claimed_names()}


def describe_holder(holder: tuple[int, int] | None) -> str:
    """Say who has a name, which `claimed_by` has found."""
    return f"the process {holder[0]}" if holder else "a process of another user: end it"
