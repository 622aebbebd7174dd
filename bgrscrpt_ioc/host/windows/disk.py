"""Opens the IOC's files in such a way that other programs can rename and delete them."""

from __future__ import annotations

import _winapi
import errno
import msvcrt
import os
import stat
import time
from pathlib import Path

SHARE_ALL = 0x1 | 0x2 | 0x4  # others may read, write, rename and delete the file
OPEN_ALWAYS, OPEN_EXISTING = 4, 3
NORMAL = 0x80  # FILE_ATTRIBUTE_NORMAL
PATIENCE = 1.0  # s to wait for another program, such as a virus scanner, that has the file open
PAUSE = 0.01  # s between two tries


def new_file(path: Path, mode: int) -> int:
    """Make or empty a file and return its descriptor. The directory decides who may read it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_BINARY | os.O_NOINHERIT, mode)


def replace(old: Path, new: Path) -> None:
    """Replace the file `new` by the file `old`; wait while another program has `new` open.

    Raises:
        OSError: `new` could not be replaced within a second.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(old, new)  # noqa: PTH105 - as the other tenant
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE)
        else:
            return


def sync_directory(path: Path) -> None:
    """Do nothing: NTFS itself saves which files a directory has."""


def _opened(path: Path, access: int, disposition: int, flags: int) -> int:
    try:
        handle = _winapi.CreateFile(
            str(path), access, SHARE_ALL, _winapi.NULL, disposition, NORMAL, _winapi.NULL
        )
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path), error.winerror) from error
    return msvcrt.open_osfhandle(handle, flags)


def open_to_append(path: Path, mode: int) -> int:  # noqa: ARG001 - the contract's
    """Open a file to append and to read, or make it; return its descriptor.

    Raises:
        OSError: the file cannot be opened, or the path is a device or a pipe.
    """
    access = _winapi.GENERIC_READ | _winapi.GENERIC_WRITE
    descriptor = _opened(path, access, OPEN_ALWAYS, os.O_APPEND)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is a device or pipe, not a file", str(path))
    return descriptor


def open_to_read(path: Path) -> int:
    """Open a file to read and return its descriptor; an editor can replace the file meanwhile.

    Raises:
        OSError: the file cannot be opened.
    """
    return _opened(path, _winapi.GENERIC_READ, OPEN_EXISTING, os.O_RDONLY)


def complete_last_line(descriptor: int) -> None:
    """Append a newline if the last line of the file has none, as after an interrupted write."""
    if os.fstat(descriptor).st_size:
        os.lseek(descriptor, -1, os.SEEK_END)
        if os.read(descriptor, 1) != b"\n":
            os.write(descriptor, b"\n")


def special_kind(path: Path) -> str:
    """Return what a path is, such as "a directory"; for a regular file, "".

    Raises:
        OSError: the path does not exist, or may not be read.
    """
    kinds = {stat.S_IFREG: "", stat.S_IFDIR: "a directory"}
    return kinds.get(stat.S_IFMT(path.stat().st_mode), "a pipe or a device")
