"""The thread for slow disks: order, replacement, and an end that does not wait for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bgrscrpt_ioc.worker import Worker

DEADLINE = 30.0


async def test_results_come_back_to_the_loop() -> None:
    """A job is done in the thread; its result arrives in the event loop."""
    worker, result = Worker(), asyncio.get_running_loop().create_future()
    worker.do("job", threading.current_thread, result.set_result)
    async with asyncio.timeout(DEADLINE):
        assert await result is not threading.current_thread()
    worker.close(DEADLINE)


async def test_of_jobs_that_wait_the_last_is_done() -> None:
    """While one job is held up, later ones of one key replace each other."""
    worker, gate, done = Worker(), threading.Event(), []
    worker.do("slow", gate.wait)
    for number in range(3):
        worker.do("save", lambda number=number: done.append(number))
    gate.set()
    worker.close(DEADLINE)
    assert done == [2]


async def test_a_fault_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    """A job that raises is logged, and the next one is done."""
    worker, done = Worker(), []
    worker.do("bad", lambda: 1 // 0)
    worker.do("good", lambda: done.append(1))
    worker.close(DEADLINE)
    assert done == [1]
    assert "bad failed" in caplog.text


async def test_a_stalled_disk_does_not_hold_the_end() -> None:
    """`close` gives up after its time, and the daemon thread is left behind."""
    worker, gate = Worker(), threading.Event()
    worker.do("stalled", gate.wait)
    worker.close(0.05)
    gate.set()
