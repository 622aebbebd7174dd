"""Reads and writes the history file of one instance, and the texts of the scripts that ran.

All calls may block, so a worker makes them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bgrscrpt_ioc.host.files import file_name, make_directory, read_regular, replace_file
from bgrscrpt_ioc.script.history import KEPT, MAX_FILE, PastRun, lost, merged, read, read_newest

MAX_READ = 4 * MAX_FILE  # bytes of a file; a longer one was written by somebody else
MAX_TEXT = 1 << 20  # bytes of a script's text that is kept
TEXTS = 200  # the newest texts that are kept
MAX_TEXTS = 10 << 20  # bytes of all kept texts


@dataclass(frozen=True, slots=True)
class Loaded:
    """The runs of earlier IOCs, oldest first. `trouble` says why they could not be read."""

    runs: Sequence[PastRun] = ()
    problem: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """The runs of one instance, in a file that is always replaced as a whole."""

    path: Path

    def load(self, count: int = KEPT) -> Loaded:
        """Return the newest runs of earlier IOCs. A run that had no end has ended with its IOC.

        A file that has bad lines is kept as `<name>.bad` before it is replaced.
        """
        try:
            data = read_regular(self.path, MAX_READ)
            newest, going, bad = read_newest(data, count)
            lost_ones = [lost(run) for run in going]
            if bad:
                replace_file(self.path.with_name(self.path.name + ".bad"), data)
                replace_file(self.path, merged(b"", [*read(data)[0], *lost_ones]))
            elif lost_ones:
                replace_file(self.path, merged(data, lost_ones))
        except FileNotFoundError:
            return Loaded()
        except OSError as error:
            return Loaded(trouble=f"{self.path}: {error.strerror or error}")
        ended = {run.number: run for run in lost_ones}
        problem = f"{self.path}: {bad} lines are no runs; a copy is kept as {self.path.name}.bad"
        runs = [ended.get(run.number, run) for run in newest]
        return Loaded(runs, problem if bad else "")

    def save(self, runs: Sequence[PastRun]) -> str:
        """Add these runs, or replace those with the same numbers; return what went wrong.

        After a crash or a power cut the file holds either the old runs or the new ones.
        """
        try:
            try:
                data = read_regular(self.path, MAX_READ)
            except FileNotFoundError:
                data = b""
            replace_file(self.path, merged(data, runs))
        except OSError as error:
            return f"{self.path}: {error.strerror or error}"
        return ""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that ran, each in a file that only its owner can read, named by its SHA-256."""

    path: Path

    def keep(self, sha256: str, data: bytes) -> str:
        """Keep a text as the newest one, and delete texts beyond the limits.

        Return what went wrong.
        """
        file = self.file(sha256)
        try:
            if file.is_file():
                os.utime(file)
                return ""
            make_directory(self.path)
            replace_file(file, data)
            self._prune(file.name, len(data))
        except OSError as error:
            return f"{file}: {error.strerror or error}"
        return ""

    def file(self, sha256: str) -> Path:
        """Return the file of a text, if the text is kept."""
        return self.path / f"{sha256}.py"

    def _prune(self, newest: str, its_size: int) -> None:
        found: list[tuple[float, int, str]] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(".py") and entry.name != newest:
                    with suppress(FileNotFoundError):
                        about = entry.stat(follow_symlinks=False)
                        found.append((about.st_mtime, about.st_size, entry.name))
        left, room = TEXTS - 1, MAX_TEXTS - its_size
        for _, size, name in sorted(found, reverse=True):
            left, room = left - 1, room - size
            if left < 0 or room < 0:
                (self.path / name).unlink(missing_ok=True)


def history_of(state_dir: Path, full_name: str) -> HistoryFile:
    """Return the history file of an instance; its name includes the prefix."""
    return HistoryFile(state_dir / f"{file_name(full_name)}.history")


def texts_of(state_dir: Path, full_name: str) -> Texts:
    """Return the texts that an instance has run; its name includes the prefix."""
    return Texts(state_dir / f"{file_name(full_name)}.texts")
