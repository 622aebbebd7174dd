"""Sends a script's output to the LOG PVs, to the daily file, and to the IOC's own stdout.

Nothing here works line by line, or waits for a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.output.echo import Echo
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.loglines import Block, LineFramer, Tail, guarded, visible

# Seconds between two posts of LOG. A timer may be early by a step of the clock: 16 ms on Windows.
EVERY = 0.1 + time.get_clock_info("monotonic").resolution
HOLD = 0.5  # s that LOG waits while a run is stopped: what it shows depends on how the run ends
RETRY = 2.0  # s between tries to write a file after a failure
SETTLED = 5.0  # s without failure until the log says so: a full disk may soon be full again

Publish = Callable[..., None]

log = logging.getLogger("bgrscrpt_ioc.output")


def in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Make the event loop call, from any thread; do nothing if the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call)


class Output:
    """The output of one instance, run after run."""

    def __init__(
        self, name: str, size: int, file: LogFile, echo: Echo | None, publish: Publish
    ) -> None:
        """Begin with an empty LOG of `size` bytes."""
        self._name, self._file, self._echo, self._publish = name, file, echo, publish
        self._framer, self._tail = LineFramer(), Tail(size)
        self._loop = asyncio.get_running_loop()
        self._posted_at = float("-inf")
        self._holding = False
        self._due: asyncio.TimerHandle | None = None
        self._told: set[str] = set()  # the failures that the log has reported and that are not over
        self._dropped = 0  # lines before that
        self._retry: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self.file_changed()

    @property
    def behind(self) -> bool:
        """Return whether the disk is slower than the script.

        Never for long: no script waits for a disk.
        """
        return self._file.behind

    def write(self, data: bytes) -> None:
        """Take what the script has written."""
        self._keep(self._framer.feed(data))

    def hold(self) -> None:
        """Post LOG less often until the run ends, because it was asked to stop."""
        self._holding = True

    def end(self, *, quietly: bool = False) -> None:
        """End a run: an unfinished line becomes a line, and LOG is posted at once.

        With `quietly`, LOG leaves out the traceback of the KeyboardInterrupt that ended the run.
        """
        self._holding = False
        self._keep(self._framer.flush())
        if quietly:
            self._tail.forget_interrupt()
        if self._due is not None:
            self._due.cancel()
        if self._due is not None or quietly:
            self._post()

    def keep(self, days: int, mb: float) -> None:
        """Keep log files of so many days, and so many MB of them; 0: no limit."""
        self._file.keep(days, mb)

    def close(self) -> None:
        """Close the file after what was written; nothing is published any more."""
        for timer in (self._due, self._retry, self._settling):
            if timer is not None:
                timer.cancel()
        self._file.close()

    def divide(self, text: str) -> None:
        """Show a line of the IOC's own in LOG, between two runs.

        The file has remarks of its own.
        """
        self._tail.note(f"{datetime.now():%Y-%m-%d %H:%M:%S} {text}")

    def remark(self, text: str) -> None:
        """Write what the IOC did to the file, not to LOG."""
        self._file.remark(text, time.time())

    def warn(self, text: str) -> None:
        """Write a line for the script's user among the script's own lines."""
        self._keep(self._framer.flush())
        self.write(f"bgrscrpt-ioc: {visible(text)}\n".encode())

    def file_changed(self) -> None:
        """Publish the file's path, failure and count of lost lines, which may have changed."""
        problem = self._file.problem
        severity = Severity.MINOR if problem else Severity.NO_ALARM
        self._publish("LOG:FILE", self._file.path, severity)
        self._publish("LOG:DROPPED", self._file.dropped, severity)
        if problem:
            self._say_bad(problem)
            self._retry = self._retry or self._loop.call_later(RETRY, self._try_again)
        elif self._told and self._settling is None:
            self._settling = self._loop.call_later(SETTLED, self._say_good)

    def _try_again(self) -> None:
        self._retry = None
        self._file.try_again(time.time())
        self.file_changed()

    def _say_bad(self, problem: str) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if problem not in self._told:
            self._told.add(problem)
            log.warning("%s: log file: %s", self._name, problem)

    def _say_good(self) -> None:
        self._settling = None
        self._told.clear()
        lost, self._dropped = self._file.dropped - self._dropped, self._file.dropped
        log.info("%s: %s is written again; %d lines are lost", self._name, self._file.path, lost)

    def _keep(self, block: Block) -> None:
        if block.lines:
            if self._echo is not None:
                self._echo.write(self._name, block)
            block = guarded(block)
            self._tail.append(block)
            self._file.write(block, time.time())
        if self._due is None:
            # The first line is posted at once, then at most ten times a second.
            wait = self._posted_at + EVERY - self._loop.time()
            if self._holding:
                wait = max(wait, HOLD)
            if wait <= 0:
                self._post()
            else:
                self._due = self._loop.call_later(wait, self._post)

    def _post(self) -> None:
        self._due, self._posted_at = None, self._loop.time()
        self._publish("LOG", self._tail.text(self._framer.pending))
        self._publish("LOG:LINE", self._framer.pending or self._tail.newest)
        self._publish("LOG:COUNT", self._tail.count)
