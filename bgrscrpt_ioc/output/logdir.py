"""The log files of one instance in their directory: names, opening, retention.

It does not know lines, and touches only files whose name is exactly one of its own.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.files import FILE_MODE, make_directory

# A day's file is at most this part of what is kept, so that parts of today can be deleted.
SEGMENTS = 4
FRESH = 10.0  # s for which one look into the directory serves all instances with files there

_NAME = re.compile(r"(.+)-([0-9]{8})(?:\.([1-9][0-9]{0,8}))?\.log")


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file: all output of a day, or a part of it. Files sort by time."""

    day: date
    part: int
    name: str
    size: int = 0


class Listing:
    """The names of all log files in a directory, read once for all instances that ask.

    At midnight hundreds of instances open a new file each, among tens of thousands of files. A call
    tells it of each file made or deleted here. Other changes are seen up to `fresh` seconds later.
    Use it in one thread.
    """

    def __init__(self, path: Path, fresh: float = FRESH) -> None:
        self._path, self._fresh = path, fresh
        self._looked_at = float("-inf")
        self._names: defaultdict[str, set[str]] = defaultdict(set)

    def names(self, instance: str) -> set[str]:
        """Return the names of the files of one instance.

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
        """Read the directory again when next asked: something has changed."""
        self._looked_at = float("-inf")


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """The directory with the files `<name>-<YYYYMMDD>.log`, `<name>-<YYYYMMDD>.1.log` and so on.

    The files of the newest `keep_days` days before today are kept, up to `keep_bytes`; 0 is no
    limit. Instances in one directory share a `listing`. Earlier versions named files by `former`;
    these are old files of the instance too.
    """

    path: Path
    name: str
    keep_days: int = 0
    keep_bytes: int = 0
    shared: Listing | None = None
    former: str = ""
    listing: Listing = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "listing", self.shared or Listing(self.path, 0))

    @property
    def segment_size(self) -> int:
        """Return the bytes of one file; 0 is no limit."""
        return self.keep_bytes // SEGMENTS

    def segments(self) -> list[Segment]:
        """Return the files of the instance, oldest first.

        Raises:
            OSError: the directory cannot be read.
        """
        return sorted(self._segments(self.name))

    def _segments(self, instance: str) -> Iterator[Segment]:
        for name in self.listing.names(instance):
            if not (match := _NAME.fullmatch(name)):
                continue
            # The name has no date, or the file was deleted meanwhile.
            with suppress(ValueError, FileNotFoundError):
                size = (self.path / name).stat(follow_symlinks=False).st_size
                yield Segment(date.fromisoformat(match[2]), int(match[3] or 0), name, size)

    def _all_segments(self, today: date) -> list[Segment]:
        """Return the files of both names, oldest first.

        If a file of today or yesterday has the former name, an IOC without a prefix writes these
        files, and they are its own.
        """
        before = list(self._segments(self.former)) if self.former else []
        newest = {today, today - timedelta(days=1)}
        if any(found.day in newest for found in before):
            before = []
        return sorted([*self._segments(self.name), *before])

    def file(self, day: date, part: int) -> Path:
        """Return the path of a file."""
        dot = f".{part}" if part else ""
        return self.path / f"{self.name}-{day:%Y%m%d}{dot}.log"

    def open(self, day: date, room: int) -> tuple[Path, int]:
        """Open the file of `day` that has room for `room` bytes; return its path and descriptor.

        The file and the directory are made if they do not exist.

        Raises:
            OSError: that failed, or it is no regular file; `filename` is set.
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
        """Return whether after a file of `size` bytes the next part of its day begins."""
        return 0 < self.segment_size < size + room and size > 0

    def prune(self, today: date, current: Path) -> None:
        """Delete what is too old or too much, so that `current`, which stays, has room to grow.

        Age is counted in days that have files, up to today. So a clock that is wrong for an hour,
        by ten years as at boot, makes no file older than one day. Whatever the clock says later,
        files of its future are not deleted for their age.

        Raises:
            OSError: a file cannot be deleted.
        """
        files = self._all_segments(today)
        days = sorted({found.day for found in files if found.day < today}, reverse=True)
        too_old = set(days[self.keep_days :]) if self.keep_days else set()
        others = [found for found in files if found.name != current.name]
        # Parts of today go last: after a clock was set back, most days come after today.
        others.sort(key=lambda found: (found.day == today, found))
        size = sum(found.size for found in others)
        for found in others:
            too_much = 0 < self.keep_bytes < size + self.segment_size
            if found.day in too_old or too_much:
                (self.path / found.name).unlink(missing_ok=True)
                for name in (self.name, self.former):
                    self.listing.names(name).discard(found.name)
                size -= found.size


def is_at(path: Path, descriptor: int) -> bool:
    """Return whether the open file is still the one at that path.

    Raises:
        OSError: the path cannot be looked at.
    """
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def append(descriptor: int, lines: bytes) -> tuple[int, OSError | None]:
    """Append whole lines.

    Return how many of their bytes are on disk, and what kept off the rest.
    """
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
    """Remove the partial line that a full disk left, unless something was appended after it."""
    with suppress(OSError):  # then it is completed when the file is opened next
        size = os.fstat(descriptor).st_size
        if half and os.lseek(descriptor, 0, os.SEEK_CUR) == size:
            os.ftruncate(descriptor, size - half)


def _open(path: Path) -> int:
    descriptor = system.open_to_append(path, FILE_MODE)
    try:
        system.complete_last_line(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return descriptor
