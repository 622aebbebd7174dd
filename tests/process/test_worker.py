"""The thread for slow disks: order, replacement, and an end that does not wait for ever."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bgrscrpt_ioc.host.worker import Threads, Worker

DEADLINE = 60.0


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


async def test_an_additional_thread_ends_though_jobs_come() -> None:
    """A thread that was added for a job that hung ends some time after, and one thread stays."""
    before = {*threading.enumerate()}  # some of which may end meanwhile
    threads, gate = Threads(late=0.01, idle=0.05), threading.Event()
    ill, well = Worker(threads), Worker(threads)
    ill.do("look", gate.wait)
    async with asyncio.timeout(DEADLINE):
        await well.finished()  # by a second thread
        gate.set()
        while len({*threading.enumerate()} - before) > 1:
            await well.finished()
        await asyncio.sleep(0.1)
        await well.finished()
    assert len({*threading.enumerate()} - before) == 1
    well.close(DEADLINE)


async def test_a_job_that_hangs_harms_its_own_instance_only() -> None:
    """Jobs of other instances are done meanwhile, also the last ones at the IOC's end."""
    threads, gate = Threads(late=0.01), threading.Event()
    ill, also_ill, well = (Worker(threads) for _ in range(3))
    held: list[int] = []
    for each in ill, also_ill:
        each.do("look", gate.wait)
        each.do("save", lambda: held.append(1))
    result = asyncio.get_running_loop().create_future()
    well.do("save", lambda: 7, result.set_result)
    async with asyncio.timeout(DEADLINE):
        assert await result == 7
    last = threading.Event()
    well.do("save at last", last.set)
    threads.close(3)
    assert last.is_set()
    assert held == []
    gate.set()


async def test_what_is_urgent_waits_for_no_save() -> None:
    """A launch is done while another job is in progress."""
    threads, begun, gate = Threads(late=DEADLINE), threading.Event(), threading.Event()
    Worker(threads).do("save", lambda: (begun.set(), gate.wait()))
    assert await asyncio.to_thread(begun.wait, DEADLINE)
    result = asyncio.get_running_loop().create_future()
    Worker(threads, urgent=True).do("reach", lambda: 7, result.set_result)
    async with asyncio.timeout(DEADLINE):
        assert await result == 7
    gate.set()
    threads.close(DEADLINE)


async def test_what_is_urgent_is_done_first() -> None:
    """Of the jobs that wait for one thread, a launch is the first."""
    threads, order = Threads(late=DEADLINE), list[str]()
    with threads.changed:  # no thread takes a job meanwhile
        Worker(threads).do("save", lambda: order.append("saved"))
        Worker(threads, urgent=True).do("reach", lambda: order.append("reached"))
    threads.close(DEADLINE)
    assert order == ["reached", "saved"]


async def test_a_job_that_hangs_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """One line and one call when a job hangs, and one call when the disk answers again."""
    threads, gate, told = Threads(late=0.01, hangs=0.05), threading.Event(), asyncio.Queue()
    worker = Worker(threads, told.put_nowait)
    worker.do("look at the script of X", gate.wait)
    async with asyncio.timeout(DEADLINE):
        assert (await told.get()).startswith("look at the script of X: not done within 0.05 s")
        gate.set()
        assert await told.get() == ""
    assert told.empty()
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    threads.close(DEADLINE)


async def test_many_jobs_of_many_workers_need_few_threads() -> None:
    """While no disk hangs one thread does it all, each worker's jobs in their order."""
    threads = Threads(late=DEADLINE)
    before = {*threading.enumerate()}
    done: dict[int, list[int]] = {}
    for number in range(100):
        worker = Worker(threads)
        for job in range(3):
            worker.do(f"{job}", lambda n=number, j=job: done.setdefault(n, []).append(j))
    assert len({*threading.enumerate()} - before) <= 1
    threads.close(DEADLINE)
    assert done == {number: [0, 1, 2] for number in range(100)}
