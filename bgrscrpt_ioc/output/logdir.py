"""The log files of one instance in their directory: names, opening, retention.

It does not know what a line is, and touches no file whose name is not exactly one of its own.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from bgrscrpt_ioc.files import FILE_MODE, make_directory

SEGMENTS = 4  # a day's file is at most this part of what is kept, so that today's are deleted too
FRESH = 10.0  # s that a look into the directory serves all instances that have files in it

_NAME = re.compile(r"(.+)-([0-9]{8})(?:\.([1-9][0-9]{0,8}))?\.log")
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


class Listing:
    """The names of all log files in a directory, looked up once for all instances that ask.

    At midnight hundreds of instances open a new file each, among tens of thousands. Who makes or
    deletes a file says so here; what others do is seen up to `fresh` seconds later. For one thread.
    """

    def __init__(self, path: Path, fresh: float = FRESH) -> None:
        self._path, self._fresh = path, fresh
        self._looked_at = float("-inf")
        self._names: defaultdict[str, set[str]] = defaultdict(set)

    def names(self, instance: str) -> set[str]:
        """The names of the files of one instance.

        Raises:
            OSError: the directory cannot be read.
        """
        if time.monotonic() - self._looked_at >= self._fresh:
            self._look()
        return self._names[instance]

    def _look(self) -> None:
        found: defaultdict[str, set[str]] = defaultdict(set)
        with os.scandir(self._path) as entries:
            for entry in entries:
                if (match := _NAME.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False):
                    found[match[1]].add(entry.name)
        self._names, self._looked_at = found, time.monotonic()

    def forget(self) -> None:
        """Look again when next asked: things are not as they were."""
        self._looked_at = float("-inf")


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """Where the files `<name>-<YYYYMMDD>.log`, `<name>-<YYYYMMDD>.1.log`, ... are.

    Those of the newest `keep_days` days before today are kept, and of them `keep_bytes`; 0: no
    limit. Instances in one directory share a `listing`.
    """

    path: Path
    name: str
    keep_days: int = 0
    keep_bytes: int = 0
    shared: Listing | None = None
    listing: Listing = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "listing", self.shared or Listing(self.path, 0))

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
        for name in self.listing.names(self.name):
            if not (match := _NAME.fullmatch(name)):
                continue
            with suppress(ValueError, FileNotFoundError):  # no date; deleted meanwhile
                size = (self.path / name).stat(follow_symlinks=False).st_size
                yield Segment(date.fromisoformat(match[2]), int(match[3] or 0), name, size)

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
        if not self.path.is_dir():
            self.listing.forget()
            make_directory(self.path)
        last = max((found for found in self.segments() if found.day == day), default=None)
        part = last.part if last else 0
        if last and self.is_full(last.size, room):
            part += 1
        path = self.file(day, part)
        descriptor = _open(path)
        self.listing.names(self.name).add(path.name)
        return path, descriptor

    def is_full(self, size: int, room: int) -> bool:
        """Whether a file of `size` bytes is to be followed by the next part of its day."""
        return 0 < self.segment_size < size + room and size > 0

    def prune(self, today: date, current: Path) -> None:
        """Delete what is too old or too much, so that `current`, which stays, has room to grow.

        Age is counted in days of which there are files, up to today. A clock that is wrong for an
        hour, by ten years as it may be at boot, so makes no file older than one day; and whatever
        it says later, files of its future are not deleted for their age.

        Raises:
            OSError: a file cannot be deleted.
        """
        files = self.segments()
        days = sorted({found.day for found in files if found.day < today}, reverse=True)
        too_old = set(days[self.keep_days :]) if self.keep_days else set()
        others = [found for found in files if found.name != current.name]
        # Parts of today go last: where the clock was set back, most days are after today.
        others.sort(key=lambda found: (found.day == today, found))
        size = sum(found.size for found in others)
        for found in others:
            too_much = 0 < self.keep_bytes < size + self.segment_size
            if found.day in too_old or too_much:
                (self.path / found.name).unlink(missing_ok=True)
                self.listing.names(self.name).discard(found.name)
                size -= found.size


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
