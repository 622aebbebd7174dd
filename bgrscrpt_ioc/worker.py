"""One thread for the calls that a bad disk may hold up: reading the script's file, saving state.

A daemon, so that a disk that never answers cannot keep the IOC from ending.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger("bgrscrpt_ioc.worker")

Job = Callable[[], Any]
Done = Callable[[Any], None]


class Worker:
    """Does one job after the other; of jobs with one key that wait, only the last is done."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._waiting: dict[str, tuple[Job, Done]] = {}
        self._thread: threading.Thread | None = None
        self._closing = False

    def do(self, key: str, job: Job, done: Done = lambda _result: None) -> None:
        """Have `job` done in the thread, then `done(result)` in the event loop.

        A job answers for its own errors: what it raises is a fault of ours, and logged as such.
        """
        with self._changed:
            self._waiting.pop(key, None)  # so that the later one keeps its place in the order
            self._waiting[key] = (job, done)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="worker", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Finish what waits, for at most `timeout` seconds. Blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closing:
                        return
                    self._changed.wait()
                key = next(iter(self._waiting))
                job, done = self._waiting.pop(key)
            try:
                result = job()
            except Exception:
                log.exception("%s failed", key)
                continue
            try:
                self._loop.call_soon_threadsafe(done, result)
            except RuntimeError:
                return  # the event loop is closed: the IOC has ended
