"""Writes the IOC's own messages to its stderr in a thread, so that a terminal cannot stall the IOC.

Under procServ stderr is the console too. A reader that stops would otherwise block the event loop.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from functools import partial

from bgrscrpt_ioc.output.jsonlines import JsonLines
from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.output.writer import Writer

LIMIT = 1 << 18  # bytes that wait at most; what comes then is lost
FORMAT = "%(asctime)s bgrscrpt-ioc %(levelname)s: %(message)s"
JOURNAL_FORMAT = "bgrscrpt-ioc %(levelname)s: %(message)s"  # the journal has the time
DEBUG = 7  # of syslog(3); each stands for the levels of logging from this one on
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class OneLine(logging.Formatter):
    """Escapes what is no text in a message: names and texts in it come from clients and scripts.

    A message is one line. The traceback of a fault of the IOC follows in more lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Format the first line."""
        return visible(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """Format the line and its traceback."""
        return visible(super().format(record), lines=True)


class WithPriority(OneLine):
    """Begins each line with its priority, `<N>`, for systemd's journal: sd-daemon(3)."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the line and its traceback, which would otherwise have the default priority."""
        priority = next((each for level, each in PRIORITIES if record.levelno >= level), DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).split("\n"))


class Console(logging.Handler):
    """Writes log records to the descriptor `stream`; `journal` says that it is systemd's."""

    def __init__(self, stream: int, *, journal: bool = False) -> None:
        super().__init__()
        self.setFormatter(WithPriority(JOURNAL_FORMAT) if journal else OneLine(FORMAT))
        self._stream = stream
        self._writer = Writer("console", LIMIT)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the message to the thread."""
        data = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        self._writer.put(len(data), partial(self._write, data))

    def finish(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds."""
        self._writer.close(timeout)

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody can be told
            os.write(self._stream, data)


class JsonMessages(logging.Handler):
    """Hands log records over as lines of JSON: to stdout, where the scripts' output is, or on.

    A record may have a `put`, which can be told as caPutLog's JSON.
    """

    def __init__(self, form: JsonLines, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self.setFormatter(OneLine("%(message)s"))
        self._form, self._hand_over = form, write

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the message over."""
        put = record.__dict__.get("put")
        found = None if put is None else put.json()
        level = record.levelname.lower()
        self._hand_over(self._form.message(self.format(record), record.created, level, found))


class TextMessages(logging.Handler):
    """Hands log records over as text, to a log server that notes the time by itself.

    Each line begins with `name`, which says which IOC it is of.
    """

    def __init__(self, name: str, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self.setFormatter(OneLine(f"{name.replace('%', '%%')} %(levelname)s: %(message)s"))
        self._hand_over = write

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the message over."""
        self._hand_over((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
