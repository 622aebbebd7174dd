"""Where a script's output goes: the LOG PVs, the daily file, the IOC's own stdout.

Nothing here works line by line, or waits for a disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from bgrscrpt_ioc.events import Severity
from bgrscrpt_ioc.output.echo import Echo
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.loglines import Block, LineFramer, Tail

EVERY = 0.1  # s between two posts of LOG
RETRY = 2.0  # s between attempts to write the file, while that is in trouble
SETTLED = 5.0  # s without trouble until the log says so: a disk may be full again the next second

Publish = Callable[..., None]

log = logging.getLogger("bgrscrpt_ioc.output")


def in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Have the event loop call, from whichever thread; nothing when the loop has ended."""
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
        self._due: asyncio.TimerHandle | None = None
        self._told: set[str] = set()  # what the log says of a trouble that is not over
        self._dropped = 0  # before it
        self._retry: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self.file_changed()

    @property
    def behind(self) -> bool:
        """The disk is slower than the script. Never true for long: no script waits for a disk."""
        return self._file.behind

    def write(self, data: bytes) -> None:
        """Take what the script wrote."""
        self._keep(self._framer.feed(data))

    def end(self) -> None:
        """The run is over: what stands without a newline is a line, and LOG has it all at once."""
        self._keep(self._framer.flush())
        if self._due is not None:
            self._due.cancel()
            self._post()

    def remark(self, text: str) -> None:
        """Note in the file, not in LOG, what the IOC did."""
        self._file.remark(text, time.time())

    def warn(self, text: str) -> None:
        """Say something to the script's user, among the script's own lines."""
        self.end()
        self.write(f"bgrscrpt-ioc: {text}\n".encode())

    def file_changed(self) -> None:
        """The file's path, trouble or count of lost lines may be another now."""
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
            self._tail.append(block)
            self._file.write(block, time.time())
            if self._echo is not None:
                self._echo.write(self._name, block)
        if self._due is None:
            # The first line at once, then at most ten times a second.
            wait = self._posted_at + EVERY - self._loop.time()
            if wait <= 0:
                self._post()
            else:
                self._due = self._loop.call_later(wait, self._post)

    def _post(self) -> None:
        self._due, self._posted_at = None, self._loop.time()
        self._publish("LOG", self._tail.text(self._framer.pending))
        self._publish("LOG:LINE", self._framer.pending or self._tail.newest)
        self._publish("LOG:COUNT", self._tail.count)
