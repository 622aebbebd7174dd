"""The scripts' output on the IOC's own stdout, where procServ and conserver log it.

What stands behind stdout may stall or go away; nothing of the IOC waits for it or fails with it.
"""

from __future__ import annotations

import os
import select
from functools import partial

from bgrscrpt_ioc.output.loglines import NOTHING, Block, prefixed
from bgrscrpt_ioc.output.writer import Writer

LIMIT = 1 << 20  # bytes that wait at most


class Echo:
    """Copies blocks to the descriptor `stream`, byte for byte.

    With `names` each line gets its instance's name in front, `BGRSCRPT_01: `. Lines for which there
    was no room are counted in a line of our own, where they are missing.
    """

    def __init__(self, stream: int, *, names: bool, limit: int = LIMIT) -> None:
        self._stream, self._names = stream, names
        self._missed = 0  # lines, since the last that were taken
        self._writer = Writer("echo", limit)
        # The thread's own:
        self._gone = False
        self._torn = False  # the last line was written in part
        self._lost = 0

    def write(self, name: str, block: Block) -> None:
        """Copy the lines of the instance `name`. Never blocks, never raises."""
        if not block.lines:
            return
        job = partial(self._copy, name, block, self._missed)
        self._missed = 0 if self._writer.put(len(block.raw), job) else self._missed + block.lines

    def close(self, timeout: float) -> bool:
        """Write what waits; True if that was done within `timeout` seconds. `stream` stays open."""
        if self._missed:
            self._writer.put(0, partial(self._copy, "", NOTHING, self._missed))
        return self._writer.close(timeout)

    def _copy(self, name: str, block: Block, missed: int) -> None:
        if self._gone:
            return
        missed += self._lost
        note = b"... %d lines not echoed\n" % missed if missed else b""
        head = b"\n" * self._torn + note
        prefix = f"{name}: ".encode() if self._names else b""
        data = memoryview(head + prefixed(block.raw, prefix))
        done = 0
        self._lost = 0
        try:
            while done < len(data):
                done += self._write(data[done:])
        except BrokenPipeError:
            self._gone = True
        except OSError:
            # A full disk behind stdout, a terminal hung up: what is lost is said when it works.
            left = bytes(data[done:]).count(b"\n")
            self._lost = min(left, block.lines) + (missed if done < len(head) else 0)
        if done:
            self._torn = data[done - 1] != ord("\n")

    def _write(self, data: memoryview) -> int:
        try:
            return os.write(self._stream, data)
        except BlockingIOError:  # O_NONBLOCK belongs to the open file: whoever shares it may set it
            waiting = select.poll()
            waiting.register(self._stream, select.POLLOUT)
            waiting.poll()
            return 0
