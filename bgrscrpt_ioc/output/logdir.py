"""The log files of one instance in their directory: names, opening, retention.

It does not know what a line is, and touches no file whose name is not exactly one of its own.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
SEGMENTS = 4  # a day's file is at most this part of what is kept, so that today's are deleted too

# Read, too: whether the last line of an existing file is whole. O_NONBLOCK: a FIFO nobody reads
# is refused instead of waited for; it changes nothing for a regular file.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file: all of a day's output, or a part of it. In order of time."""

    day: date
    part: int
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """Where the files `<name>-<YYYYMMDD>.log`, `<name>-<YYYYMMDD>.1.log`, ... are.

    `keep_days` after their day, and when they are more than `keep_bytes` together, the oldest are
    deleted; 0: no limit.
    """

    path: Path
    name: str
    keep_days: int = 0
    keep_bytes: int = 0

    @property
    def segment_size(self) -> int:
        """Bytes of one file; 0: no limit."""
        return self.keep_bytes // SEGMENTS

    def segments(self) -> list[Segment]:
        """What is there, oldest first.

        Raises:
            OSError: the directory cannot be read.
        """
        return sorted(self._segments())

    def _segments(self) -> Iterator[Segment]:
        pattern = re.compile(re.escape(self.name) + r"-([0-9]{8})(?:\.([1-9][0-9]{0,8}))?\.log")
        with os.scandir(self.path) as entries:
            for entry in entries:
                match = pattern.fullmatch(entry.name)
                if not match or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    day = date.fromisoformat(match[1])
                    size = entry.stat(follow_symlinks=False).st_size
                except (ValueError, FileNotFoundError):  # no date; deleted meanwhile
                    continue
                yield Segment(day, int(match[2] or 0), entry.name, size)

    def file(self, day: date, part: int) -> Path:
        """The path of a file."""
        dot = f".{part}" if part else ""
        return self.path / f"{self.name}-{day:%Y%m%d}{dot}.log"

    def open(self, day: date, room: int) -> tuple[Path, int]:
        """Open the file of `day` to which `room` bytes may be added; path and descriptor.

        Makes what does not exist, the directory too.

        Raises:
            OSError: that cannot be done, or it is no regular file; `filename` is set.
        """
        make_directory(self.path)
        last = max((found for found in self.segments() if found.day == day), default=None)
        part = last.part if last else 0
        if last and self.is_full(last.size, room):
            part += 1
        path = self.file(day, part)
        return path, _open(path)

    def is_full(self, size: int, room: int) -> bool:
        """Whether a file of `size` bytes is to be followed by the next part of its day."""
        return 0 < self.segment_size < size + room and size > 0

    def prune(self, today: date, current: Path) -> None:
        """Delete what is too old or too much, so that `current`, which stays, has room to grow.

        Raises:
            OSError: a file cannot be deleted.
        """
        files = [found for found in self.segments() if found.name != current.name]
        size = sum(found.size for found in files)
        for found in files:
            too_old = 0 < self.keep_days < (today - found.day).days
            too_much = 0 < self.keep_bytes < size + self.segment_size
            if too_old or too_much:
                (self.path / found.name).unlink(missing_ok=True)
                size -= found.size


def make_directory(path: Path) -> None:
    """Make `path` and what is above it, closed to others under any umask.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    try:
        path.mkdir(DIRECTORY_MODE, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", str(path)) from error


def is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one of that path.

    Raises:
        OSError: other than that it is not.
    """
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def append(descriptor: int, lines: bytes) -> tuple[int, OSError | None]:
    """Append whole lines; how many bytes of them are on file now, and what kept off the rest."""
    done, data = 0, memoryview(lines)
    try:
        while done < len(data):
            done += os.write(descriptor, data[done:])
    except OSError as error:
        whole = lines.rfind(b"\n", 0, done) + 1
        _take_back(descriptor, done - whole)
        return whole, error
    return done, None


def _take_back(descriptor: int, half: int) -> None:
    """Cut off the half line that a full disk left, unless something was appended to it since."""
    with suppress(OSError):  # then it is completed when the file is opened next
        size = os.fstat(descriptor).st_size
        if half and os.lseek(descriptor, 0, os.SEEK_CUR) == size:
            os.ftruncate(descriptor, size - half)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, _FLAGS, FILE_MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a symbolic link, not a file", str(path)) from error
        raise
    try:
        _complete(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return descriptor


def _complete(descriptor: int) -> None:
    """End the line in which an earlier writer was interrupted."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is a device or FIFO, not a file")
    if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
        os.write(descriptor, b"\n")
