"""Remembers ^C: a KeyboardInterrupt that comes inside a callback of libca goes no further."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self


class Interrupts:
    """Raises KeyboardInterrupt at ^C, as Python does, and again when `check` is called.

    Python raises it wherever the main thread is at that moment. ctypes prints what a callback
    raises and goes on, and pyepics catches everything in some places: ^C would be lost.
    """

    def __init__(self) -> None:
        self._came = self._listens = False

    def __enter__(self) -> Self:
        # What was told to ignore ^C, or has a handler of its own, goes on as it is.
        self._listens = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._listens:
            signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if self._listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        """Raise KeyboardInterrupt if ^C has come.

        Raises:
            KeyboardInterrupt: it has.
        """
        if self._came:
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.default_int_handler(number, frame)
