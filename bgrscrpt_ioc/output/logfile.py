"""The output of one instance on disk: whole lines, each with its time, in daily files.

The event loop passes lines on and never waits. Lines that could not be kept are counted exactly.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

from bgrscrpt_ioc.output.logdir import Listing, LogDirectory, append, is_at
from bgrscrpt_ioc.output.loglines import NOTHING, Block, prefixed, visible
from bgrscrpt_ioc.output.writer import Writer

PATIENCE = 1.0  # s between looks whether the file was moved, and between tries after a failure
NO_ROOM = "the disk is too slow, or stalled"
STALLED = "the disk does not answer; lines wait"


class LogFile:
    """The log of one instance. The thread of `writer` writes all its files.

    `dropped` counts the script's lines that are not on disk, and never decreases. `problem` says
    what is wrong. `path` is today's file; empty before it could be opened. All three may be read at
    any time. `on_change` is called, in any thread, after one of them has changed. It must not
    raise.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        writer: Writer,
        *,
        keep_days: int = 0,
        keep_mb: float = 0,
        patience: float = PATIENCE,
        on_change: Callable[[], None] | None = None,
        listing: Listing | None = None,
        former: str = "",
    ) -> None:
        self.dropped = 0
        self._problem = ""
        self.path = ""
        self._directory = LogDirectory(
            directory, name, keep_days, int(keep_mb * 1_000_000), listing, former
        )
        self._writer, self._patience = writer, patience
        self._on_change = on_change or _nobody
        self._lock = threading.Lock()  # guards `dropped`, which both threads count
        self._told = self._state
        self._missed = 0  # lines without room since the last that were accepted
        # Used by the writer's thread only:
        self._file: int | None = None
        self._day = date.min
        self._look_at = 0.0  # monotonic time of the next look at the path
        self._retry_at = 0.0  # monotonic time of the next try
        self._lost = 0  # lines since the last that were kept
        self._why_lost = ""
        self._not_pruned = ""

    @property
    def problem(self) -> str:
        """Return what is wrong now; empty if nothing is.

        `on_change` is not called for a stalled disk.
        """
        if not self._problem and self._writer.hangs:
            return f"{self._where}: {STALLED}"
        return self._problem

    @property
    def _where(self) -> str:
        return self.path or str(self._directory.path)

    def write(self, block: Block, when: float) -> None:
        """Keep lines with the time `when` (seconds since the epoch). Never blocks or raises."""
        if block.lines:
            self._put(block, when)

    def remark(self, text: str, when: float) -> None:
        """Keep a line of the IOC's own, `--- text`. It is not counted if it cannot be kept."""
        self._put(NOTHING, when, f"--- {visible(text)}\n")

    def keep(self, days: int, mb: float) -> None:
        """Delete old files by these limits from the next new file on; 0: no limit."""
        self._directory = replace(self._directory, keep_days=days, keep_bytes=int(mb * 1_000_000))

    def prepare(self, when: float) -> None:
        """Open today's file though nothing is to be written: `path` and `problem` become right."""
        self._put(NOTHING, when)

    def try_again(self, when: float) -> None:
        """Try whether a problem has gone, if that is possible."""
        if not self._writer.hangs:
            self.prepare(when)

    @property
    def behind(self) -> bool:
        """Return whether lines should be read later: see `Writer.behind`."""
        return self._writer.behind

    def close(self) -> None:
        """Close the file after what was written; `on_change` is not called any more."""
        self._on_change = _nobody
        self._writer.put(0, self._close)

    @property
    def _state(self) -> tuple[int, str, str]:
        return self.dropped, self._problem, self.path

    def _tell(self) -> None:
        self._told = self._state
        self._on_change()

    def _put(self, block: Block, when: float, remark: str = "") -> None:
        job = partial(self._keep, block, when, self._missed, remark)
        if self._writer.put(len(block.raw) + len(remark), job):
            self._missed = 0
        else:
            self._missed += block.lines
            self._count(block.lines)
            self._problem = f"{self._where}: {NO_ROOM}; lines are dropped"
            self._tell()

    def _count(self, lines: int) -> None:
        with self._lock:
            self.dropped += lines

    # --- in the writer's thread ---------------------------------------------------------------

    def _keep(self, block: Block, when: float, missed: int, remark: str) -> None:
        stamp = datetime.fromtimestamp(when).isoformat(" ", "milliseconds")
        head = _note(self._lost, self._why_lost) + _note(missed, NO_ROOM if missed else "") + remark
        data = prefixed(head.encode("utf-8", "replace") + block.raw, f"{stamp} ".encode())

        done = self._append(data, date.fromisoformat(stamp[:10]))
        notes = head.count("\n")
        # Lines are counted only if some are missing: counting takes as long as writing.
        noted = block.lines if done == len(data) else data[:done].count(b"\n") - notes
        lost = block.lines - max(0, noted)
        self._lost = lost if noted >= 0 else self._lost + missed + lost
        self._count(lost)
        if self._state != self._told:
            self._tell()

    def _append(self, data: bytes, day: date) -> int:
        """Append whole lines; return how many of their bytes are on disk."""
        if time.monotonic() < self._retry_at:
            return 0
        kept = 0
        try:
            kept, error = append(self._open(day, len(data)), data)
        except OSError as reason:
            error = reason
        if error is None:
            self._problem, self._why_lost = self._not_pruned, ""
        else:
            self._why_lost = error.strerror or str(error)
            self._problem = f"{error.filename or self.path}: {error.strerror}; lines are dropped"
            self._retry_at = time.monotonic() + self._patience
            self._close()
        return kept

    def _open(self, day: date, room: int) -> int:
        """Return the file that takes `room` bytes of `day`."""
        if self._file is not None and not self._fits(self._file, day, room):
            self._close()
        if self._file is None:
            path, self._file = self._directory.open(day, room)
            self.path, self._day = str(path), day
            self._prune(path)
        elif self._not_pruned and not room:  # only tried: see `try_again`
            self._prune(Path(self.path))
        return self._file

    def _fits(self, file: int, day: date, room: int) -> bool:
        found = os.fstat(file)
        full = self._directory.is_full(found.st_size, room)
        if day != self._day or found.st_nlink == 0 or full:
            return False
        now = time.monotonic()
        if now < self._look_at:
            return True
        self._look_at = now + self._patience
        return is_at(Path(self.path), file)

    def _prune(self, current: Path) -> None:
        self._not_pruned = ""
        try:
            self._directory.prune(self._day, current)
        except OSError as error:
            self._not_pruned = f"{error.filename}: {error.strerror}; old log files stay"

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # NFS reports a failure here that belongs to no line
                os.close(file)


def _note(lines: int, why: str) -> str:
    """Return what the file says of a gap in it, or of a remark that it lacks."""
    if not why:
        return ""
    what = f"{lines} lines not kept" if lines else "the log could not be written"
    return f"--- {what}: {why}\n"


def _nobody() -> None:
    """Do nothing."""
