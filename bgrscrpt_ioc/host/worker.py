"""Threads for calls that a bad disk may block: reading a script's file, saving state.

A job that hangs blocks the later jobs of its own instance, and of no other. The threads are
daemons, so that a disk that never answers cannot keep the IOC from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from bgrscrpt_ioc.host.faults import Faults

LATE = 0.25  # s that a job waits for a thread, before another thread is started
HANGS = 5.0  # s that one job may take until somebody is told
IDLE = 10.0  # s in which not all threads had a job, after which the additional ones end
MOST_AT_THE_END = 32  # threads that are added for what must be saved before the IOC ends

log = logging.getLogger("bgrscrpt_ioc.worker")

Job = Callable[[], Any]
Done = Callable[[Any], None]
Hung = Callable[[str], None]
Result = TypeVar("Result")


async def in_thread(job: Callable[[], Result]) -> Result:
    """Do a job in a daemon thread of its own; return what it returns, or raise what it raises.

    A job that hangs is left behind when the IOC ends or the caller is cancelled. With
    `asyncio.to_thread` the event loop would wait for the job at its end, and other jobs for its
    thread.

    Raises:
        OSError: the system has no thread to give.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | None, error: BaseException | None) -> None:
        if done.done():  # the caller was cancelled
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # pyright: ignore[reportArgumentType] - a result of None, too

    def work() -> None:
        result, failure = None, None
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            failure = error
        with contextlib.suppress(RuntimeError):  # the event loop is closed: the IOC has ended
            loop.call_soon_threadsafe(finish, result, failure)

    try:
        threading.Thread(target=work, name="job", daemon=True).start()
    except RuntimeError as error:
        raise OSError(f"no thread for it: {error}") from error
    return await done


class Threads:
    """The threads of many workers: usually one, and more while jobs hang."""

    def __init__(self, late: float = LATE, hangs: float = HANGS, idle: float = IDLE) -> None:
        self._late, self._hangs, self._idle = late, hangs, idle
        self._loop = asyncio.get_running_loop()
        self.changed = threading.Condition()  # its lock guards all that follows
        # Workers with a job that no thread does yet, and before them those that are urgent.
        self._ready: deque[Worker] = deque()
        self._urgent: deque[Worker] = deque()
        self._busy: set[Worker] = set()
        self._count = 0
        self._needed_at = 0.0  # monotonic: when all threads had a job, the last time
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        # Workers whose job is reported to hang; only for the event loop.
        self._told: set[Worker] = set()
        self._faults = Faults("threads for files")

    def add(self, worker: Worker) -> None:
        """Let a thread do the job of this worker. Call it in the event loop, with the lock held."""
        self._add(worker)
        # What is urgent does not wait for a save, which may take the disk 50 ms.
        if not self._count or (worker.urgent and self._count == len(self._busy) == 1):
            self._start(1)
        self.changed.notify_all()
        self._look_later()

    def close(self, timeout: float) -> None:
        """Finish what waits, for at most `timeout` seconds in all. Blocks."""
        with self.changed:
            self._start(min(len(self._waiting()), MOST_AT_THE_END))
            self.changed.wait_for(lambda: not self._waiting() and not self._busy, timeout)
            self._closing = True
            self.changed.notify_all()
        if self._timer is not None:
            self._timer.cancel()

    def _add(self, worker: Worker) -> None:
        (self._urgent if worker.urgent else self._ready).append(worker)

    def _waiting(self) -> list[Worker]:
        return [*self._urgent, *self._ready]

    def _start(self, number: int) -> None:
        with self._faults:  # the system may have no thread to give: it is tried again
            for _ in range(number):
                threading.Thread(target=self._work, name="worker", daemon=True).start()
                self._count += 1

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._late, self._look)

    def _look(self) -> None:
        """Add threads if jobs wait too long for one.

        Report which jobs hang, and which do no more.
        """
        self._timer = None
        now = time.monotonic()
        with self.changed:
            late = sum(now - each.since >= self._late for each in self._waiting())
            # At most twice as many: the jobs may end soon.
            self._start(min(late, max(1, self._count)))
            hanging = {each for each in self._busy if now - each.since >= self._hangs}
            if self._waiting() or self._busy:
                self._look_later()
        for worker in hanging ^ self._told:
            worker.tell(self._hangs if worker in hanging else 0)
        self._told = hanging

    def _work(self) -> None:
        going = True
        while going:
            with self._faults:
                going = self._do_next()

    def _do_next(self) -> bool:
        """Wait for a job and do it; return False if the thread is to end for want of jobs."""
        with self.changed:
            left = max(0.0, self._needed_at + self._idle - time.monotonic())
            spare = left if self._count > 1 else None
            self.changed.wait_for(lambda: self._waiting() or self._closing, spare)
            if not self._waiting():
                if self._count == 1 and not self._closing:
                    return True  # another thread has ended meanwhile: this one is the last
                self._count -= 1
                return False
            worker = (self._urgent or self._ready).popleft()
            job, done = worker.take()
            self._busy.add(worker)
            if len(self._busy) == self._count:
                self._needed_at = time.monotonic()
        try:
            self._do(worker.key, job, done)
        finally:
            with self.changed:
                self._busy.discard(worker)
                if worker.waits():
                    self._add(worker)
                self.changed.notify_all()
        return True

    def _do(self, key: str, job: Job, done: Done) -> None:
        try:
            result = job()
        except Exception:  # a fault with one job must not keep the others from being done
            log.exception("%s failed", key)
            return
        with contextlib.suppress(RuntimeError):  # the event loop is closed: the IOC has ended
            self._loop.call_soon_threadsafe(done, result)


class Worker:
    """Does the jobs of an instance one after the other; of those with one key, only the last."""

    def __init__(
        self,
        threads: Threads | None = None,
        hung: Hung = lambda _problem: None,
        *,
        urgent: bool = False,
    ) -> None:
        """Use these threads, or own ones.

        `hung` is told of a job that hangs, and by "" that it is over. The jobs of an `urgent`
        worker are done before those of others, because a user waits for them.
        """
        self._threads = threads or Threads()
        self.hung, self.urgent = hung, urgent
        # The threads' lock guards what follows.
        self._waiting: dict[str, tuple[Job, Done]] = {}
        self._has_turn = False  # a thread does a job of this worker, or will do one
        self.key = ""  # of the job in progress
        self.since = 0.0  # monotonic: when the job began, or the next one began to wait

    def do(self, key: str, job: Job, done: Done = lambda _result: None) -> None:
        """Do `job` in a thread, and then call `done(result)` in the event loop.

        A job must handle its own errors. An exception is a fault of the IOC, and is logged as such.
        """
        with self._threads.changed:
            self._waiting.pop(key, None)  # so that the later job keeps its place in the order
            self._waiting[key] = (job, done)
            if not self._has_turn and self.waits():
                self._threads.add(self)

    async def finished(self) -> None:
        """Return when the jobs that it has been given are done."""
        done = asyncio.Event()
        self.do(f"the end of {id(done)}", lambda: None, lambda _result: done.set())
        await done.wait()

    def close(self, timeout: float) -> None:
        """Finish what waits in its threads, for at most `timeout` seconds. Blocks."""
        self._threads.close(timeout)

    # --- for the threads -------------------------------------------------------------------------

    def waits(self) -> bool:
        """Return whether there is another job; if there is, its turn begins."""
        self._has_turn, self.since = bool(self._waiting), time.monotonic()
        return self._has_turn

    def take(self) -> tuple[Job, Done]:
        """Return the next job, and begin it."""
        self.key, self.since = next(iter(self._waiting)), time.monotonic()
        return self._waiting.pop(self.key)

    def tell(self, seconds: float) -> None:
        """Report for how long the job has hung; 0 means that it does not hang any more."""
        if seconds:
            problem = f"{self.key}: not done within {seconds:g} s: see whether the disk answers"
            log.warning("%s", problem)
        else:
            problem = ""
            log.info("%s: the disk answers again", self.key)
        try:
            self.hung(problem)
        except Exception:  # it must not keep the other workers from being looked at
            log.exception("%s: a job that hangs was not shown", self.key)
