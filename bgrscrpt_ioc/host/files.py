"""The IOC's own files and directories: closed to others under any umask, replaced as a whole.

This file does not know what is in them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from bgrscrpt_ioc.host import system

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750


class NotAFileError(OSError):
    """The path is that of a FIFO, a device, a socket or a directory."""


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, if they do not exist.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        path.mkdir(DIRECTORY_MODE, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error


def replace_file(path: Path, data: bytes) -> None:
    """Replace the content of a file.

    After a crash or power cut it holds the old or the new content.

    Raises:
        OSError: the file could not be written, and holds the old content.
    """
    make_directory(path.parent)
    # A fixed name, not a random one: a file has one writer, and the rest of a crash is used again.
    temporary = path.with_name(f".{path.name}.tmp")
    handle = system.new_file(temporary, FILE_MODE)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.write(data)
            file.flush()
            os.fsync(handle)
        system.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    system.sync_directory(path.parent)  # only then is the rename itself on disk


def read_regular(path: Path, size: int = -1) -> bytes:
    """Return the content of a file, or its first `size` bytes.

    Raises:
        NotAFileError: it is a FIFO or a device, for example, from which a read may never return.
        OSError: it cannot be read.
    """
    if kind := system.special_kind(path):
        raise NotAFileError(errno.EINVAL, f"is {kind}, not a file", str(path))
    with open(system.open_to_read(path), "rb") as file:  # noqa: PTH123 - of a descriptor
        return file.read(size)


def file_name(pv: str) -> str:
    """Return a PV's name (`TE:NDW1:BGRSCRPT_01`) for a file's name: `TE.NDW1.BGRSCRPT_01`.

    No two names become equal: except for letters, digits, `_`, `-` and `:`, every character becomes
    `%` and its code.
    """
    plain = {ord(":"): "."} | {each: f"%{each:02X}" for each in map(ord, "%./\\")}
    text = pv.translate(plain)
    return "".join(
        each if each.isalnum() or each in "_-.%" else f"%{ord(each):02X}" for each in text
    )


def take_over(old: Path, new: Path) -> str:
    """Rename `old` to `new`, if there is no `new`; return what went wrong, or nothing."""
    if new.exists() or not old.exists():
        return ""
    try:
        old.rename(new)
    except OSError as error:
        return str(error)
    return ""
