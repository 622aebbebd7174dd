"""The log files of all instances of an IOC: what they share, and what midnight and clocks change.

The event loop calls it every few seconds. Nothing here touches a disk; the writer's thread does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from bgrscrpt_ioc.output.echo import Echo
from bgrscrpt_ioc.output.logdir import Listing
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.output import Output, Publish, in_loop
from bgrscrpt_ioc.output.writer import Writer

APART = 0.1  # s between the new files of two instances at midnight, because there may be hundreds
STEP = 2.0  # s by which the clock must be off between two looks to count as set

log = logging.getLogger("bgrscrpt_ioc.logs")


class Logs:
    """The outputs that it has made, with their files in `directory`.

    `clock` returns the time of day. `apart` is the time between two instances' new files at
    midnight.
    """

    def __init__(
        self, directory: Path, *, apart: float = APART, clock: Callable[[], float] = time.time
    ) -> None:
        self._directory, self._apart, self._clock = directory, apart, clock
        self._writer = Writer("log-files")
        self._listing = Listing(directory)
        self._loop = asyncio.get_running_loop()
        self._files: dict[Output, LogFile] = {}
        self._hung = False
        now = clock()
        self._ahead = now - time.monotonic()
        self._day, self._offset = date.fromtimestamp(now), time.localtime(now).tm_gmtoff

    def output(
        self,
        name: str,
        size: int,
        echo: Echo | None,
        publish: Publish,
        *,
        file_name: str = "",
        keep_days: int = 0,
        keep_mb: float = 0,
    ) -> Output:
        """Return the output of the instance `name`, with a LOG of `size` bytes.

        The names of its files begin with `file_name` (default: `name`). Earlier versions named them
        by `name` alone. Such files are deleted like its own when they are too old or too much.
        """
        file = LogFile(
            self._directory,
            file_name or name,
            self._writer,
            keep_days=keep_days,
            keep_mb=keep_mb,
            on_change=lambda: in_loop(self._loop, output.file_changed),
            listing=self._listing,
            former=name if file_name not in ("", name) else "",
        )
        output = Output(name, size, file, echo, publish)
        file.prepare(self._clock())
        self._files[output] = file
        return output

    def remove(self, output: Output) -> None:
        """Close an output that is not needed any more."""
        del self._files[output]
        output.close()

    def tick(self, now: float, monotonic: float) -> float:
        """Compare the clock, which says `now`; return by how many seconds it was set, usually 0."""
        if (hangs := self._writer.hangs) != self._hung:
            self._hung = hangs
            for output in self._files:
                output.file_changed()
        step, self._ahead = now - monotonic - self._ahead, now - monotonic
        if abs(step) < STEP:
            step = 0.0
        else:
            text = f"the clock was set {'forward' if step > 0 else 'back'} by {abs(step):.0f} s"
            log.warning("%s", text)
            self._remark(text, now)
        self._look_at_calendar(now)
        return step

    def close(self, timeout: float) -> bool:
        """Write what waits; True if that was done within `timeout` seconds."""
        for file in self._files.values():
            file.close()
        return self._writer.close(timeout)

    def _look_at_calendar(self, now: float) -> None:
        local = time.localtime(now)
        if local.tm_gmtoff != self._offset:
            self._offset = local.tm_gmtoff
            zone = time.strftime("UTC%z (%Z)", local)
            self._remark(f"local time is {zone} from here", now)
        if (day := date.fromtimestamp(now)) != self._day:
            # Files of scripts that print nothing change with the day too, and old ones are deleted.
            self._day = day
            for number, file in enumerate(self._files.values()):
                self._loop.call_later(
                    self._apart * number, lambda each=file: each.prepare(self._clock())
                )

    def _remark(self, text: str, now: float) -> None:
        for file in self._files.values():
            file.remark(text, now)
