"""The IOC's own stdout: its lines and the scripts' output, which procServ and conserver log.

What reads stdout may stall or go away. Nothing of the IOC waits for it or fails with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.output.loglines import Block
from bgrscrpt_ioc.output.writer import Writer

LIMIT = 1 << 20  # bytes that wait at most


class Form(Protocol):
    """How lines are written: as text or as JSON. Times are s since the epoch."""

    def show_names(self, names: bool) -> None:
        """Have each line tell its instance from now on, or not."""
        ...

    def output(self, name: str, raw: bytes, at: float) -> bytes:
        """Return whole lines of a script's output."""
        ...

    def message(self, text: str, at: float) -> bytes:
        """Return a message of the IOC."""
        ...

    def missed(self, lines: int, at: float) -> bytes:
        """Return a message that lines of scripts are not among these."""
        ...


class Echo:
    """Copies lines to the descriptor `stream`, in the form `form`.

    Lines for which there was no room are counted in a line of our own, where they are missing.
    """

    def __init__(self, stream: int, form: Form, *, limit: int = LIMIT) -> None:
        self._stream, self._form = stream, form
        self._missed = 0  # lines, since the last that were taken
        self._writer = Writer("echo", limit)
        # Used by the thread only:
        self._gone = False
        self._torn = False  # only a part of the last line was written
        self._lost = 0

    def show_names(self, names: bool) -> None:
        """Have each line tell its instance from now on, or not."""
        self._form.show_names(names)

    def write(self, name: str, block: Block) -> None:
        """Copy the lines of the instance `name`. Never blocks, never raises."""
        if block.lines:
            made = partial(self._form.output, name, block.raw, time.time())
            self._put(made, len(block.raw), block.lines)

    def say(self, text: str) -> None:
        """Write a message of the IOC, in its turn. Never blocks, never raises."""
        self.put_line(self._form.message(text, time.time()))

    def put_line(self, line: bytes) -> None:
        """Write a line that is in its form, in its turn. Never blocks, never raises."""
        self._put(lambda: line, len(line), 1)

    def close(self, timeout: float) -> bool:
        """Write what waits; return whether that was done in `timeout` seconds.

        `stream` stays open.
        """
        if self._missed:
            self._writer.put(0, partial(self._copy, bytes, 0, self._missed))
        return self._writer.close(timeout)

    def _put(self, made: Callable[[], bytes], size: int, lines: int) -> None:
        job = partial(self._copy, made, lines, self._missed)
        self._missed = 0 if self._writer.put(size, job) else self._missed + lines

    def _copy(self, made: Callable[[], bytes], lines: int, missed: int) -> None:
        if self._gone:
            return
        missed += self._lost
        note = self._form.missed(missed, time.time()) if missed else b""
        head = b"\n" * self._torn + note
        data = memoryview(head + made())
        done = 0
        self._lost = 0
        try:
            while done < len(data):
                done += self._write(data[done:])
        except BrokenPipeError:
            self._gone = True
        except OSError:
            # The disk is full, or the terminal has hung up. What is lost is reported when writing
            # works again.
            left = bytes(data[done:]).count(b"\n")
            self._lost = min(left, lines) + (missed if done < len(head) else 0)
        if done:
            self._torn = data[done - 1] != ord("\n")

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._stream, data)
        # O_NONBLOCK belongs to the open file, and whoever shares the file can set it.
        except BlockingIOError:
            system.wait_until_writable(self._stream)
            return 0
