"""The IOC's own messages on its stderr, by a thread: a terminal that stalls must not stall the IOC.

Under procServ stderr is the console too; a reader that stops would else hold up the event loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
from functools import partial

from bgrscrpt_ioc.output.writer import Writer

LIMIT = 1 << 18  # bytes that wait at most; what comes then is lost
FORMAT = "%(asctime)s bgrscrpt-ioc %(levelname)s: %(message)s"


class Console(logging.Handler):
    """Writes log records to the descriptor `stream`."""

    def __init__(self, stream: int) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._stream = stream
        self._writer = Writer("console", LIMIT)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the message over."""
        data = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        self._writer.put(len(data), partial(self._write, data))

    def finish(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds."""
        self._writer.close(timeout)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody is there to be told
            os.write(self._stream, data)
