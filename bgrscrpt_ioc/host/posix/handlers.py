"""Calls functions in the event loop when signals come to this process. No signal is lost.

asyncio's `add_signal_handler` passes each signal on as a byte through a socket that holds about
280. If more children than that die in one turn of the loop, Python writes a traceback for each of
them on stderr, which may stall, and drops the next signals: a SIGTERM too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

READ_AT_ONCE = 1 << 16  # bytes


class _Wakeup:
    """A pipe that wakes the loop when a signal comes; its content means nothing.

    Without the pipe the loop would sleep on if a signal reaches another thread. A full pipe wakes
    it too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        loop.add_reader(self._read, self._drain)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        if not self.loop.is_closed():
            self.loop.remove_reader(self._read)
        os.close(self._read)
        os.close(self._write)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, READ_AT_ONCE)


_handled: set[int] = set()  # signals
_wakeup: _Wakeup | None = None  # of the loop that hears of them


def call_on_signal(number: int, call: Callable[[], None]) -> None:
    """Call a function in the running loop of the main thread, once for those that come together.

    A process that runs one loop after the other calls this in each of them.
    """
    global _wakeup  # noqa: PLW0603 - a process has one descriptor that signals write to
    loop = asyncio.get_running_loop()
    queued = False

    def handler(*_: object) -> None:
        nonlocal queued
        if not queued and not loop.is_closed():
            queued = True
            loop.call_soon_threadsafe(called)

    def called() -> None:
        nonlocal queued
        queued = False
        call()

    if _wakeup is None or _wakeup.loop is not loop:
        if _wakeup is not None:
            _wakeup.close()
        _wakeup = _Wakeup(loop)
    _handled.add(number)
    signal.signal(number, handler)
    signal.siginterrupt(number, False)


def call_no_more_on_signal(number: int) -> None:
    """Stop calling for this signal, and restore its default action."""
    global _wakeup  # noqa: PLW0603 - see above
    signal.signal(number, signal.SIG_DFL)
    _handled.discard(number)
    if not _handled and _wakeup is not None:
        _wakeup.close()
        _wakeup = None
