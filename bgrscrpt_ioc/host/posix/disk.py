"""Opens the IOC's own files so that links, FIFOs and the umask cannot change what is opened."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


def new_file(path: Path, mode: int) -> int:
    """Make or empty a file with exactly this mode, whatever the umask; return its descriptor."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _SAFE, mode)
    try:
        os.fchmod(handle, mode)
    except OSError:
        os.close(handle)
        raise
    return handle


def replace(old: Path, new: Path) -> None:
    """Replace a file by another one, even if others have it open.

    Raises:
        OSError: that failed.
    """
    old.replace(new)


def open_to_read(path: Path) -> int:
    """Open a file to read, so that an editor can replace it meanwhile; return its descriptor.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def sync_directory(path: Path) -> None:
    """Write a directory's entries to disk (POSIX does not promise that fsync of a file does it)."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def open_to_append(path: Path, mode: int) -> int:
    """Open or make a file to append to and to read; return its descriptor.

    Raises:
        OSError: it cannot be opened, or something else has its name.
    """
    # O_NONBLOCK: a FIFO that nobody reads is refused, and not waited for. It does not affect files.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | _SAFE
    try:
        descriptor = os.open(path, flags, mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a symbolic link, not a file", str(path)) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is a device or FIFO, not a file", str(path))
    return descriptor


def complete_last_line(descriptor: int) -> None:
    """End the line in which an earlier writer of the file was interrupted."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.write(descriptor, b"\n")


def special_kind(path: Path) -> str:
    """Return what is at the path if that is no regular file, such as "a FIFO"; otherwise "".

    Raises:
        OSError: nothing is there, or nobody may look.
    """
    kinds = {stat.S_IFREG: "", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO"}
    return kinds.get(stat.S_IFMT(path.stat().st_mode), "a socket or a device")
