"""Our own files and directories: closed to others under any umask, replaced as a whole.

It does not know what is in them.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750


def make_directory(path: Path) -> None:
    """Make `path` and what is above it, where it does not exist.

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
    """Make `data` the content of the file: after a crash or power cut it holds the old or the new.

    Raises:
        OSError: it could not be written, and holds the old.
    """
    make_directory(path.parent)
    # One name, not a random one: a file has one writer, and what a crash leaves is used again.
    temporary = path.with_name(f".{path.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, FILE_MODE)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - of a descriptor
            os.fchmod(handle, FILE_MODE)
            file.write(data)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    # The rename itself is on disk only when its directory is (POSIX says nothing; ext4, xfs: so).
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
