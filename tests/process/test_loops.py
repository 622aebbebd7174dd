"""A fault of the IOC in one turn of a loop ends no service: it is logged once, the loop goes on."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc.ca.links import ClientLimits, Links
from bgrscrpt_ioc.ca.listener import Acceptor
from bgrscrpt_ioc.ca.search import Beacons
from bgrscrpt_ioc.host import resolver as resolver_module
from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.posix import processes as table
from bgrscrpt_ioc.host.posix.guardian import Guardian
from bgrscrpt_ioc.host.posix.pipe import Pipe
from bgrscrpt_ioc.host.resolver import Resolver
from bgrscrpt_ioc.host.system import look_up
from bgrscrpt_ioc.host.worker import Threads, Worker
from bgrscrpt_ioc.ioc import serve
from bgrscrpt_ioc.limits.limits import Limits
from bgrscrpt_ioc.limits.usage import Meter, ProcessTable
from bgrscrpt_ioc.limits.watch import Watch
from bgrscrpt_ioc.output.writer import Writer
from tests.process.scripts import DEADLINE, Runner


def fault(*_: object, **__: object) -> Any:
    raise RuntimeError("injected")


def said(caplog: pytest.LogCaptureFixture) -> int:
    return sum("it goes on: RuntimeError('injected')" in each for each in caplog.messages)


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A kind of fault is logged once, with its traceback.

    Exceptions that end the IOC are raised.
    """
    faults = Faults("a service")
    for _ in range(3):
        with faults:
            fault()
    with faults:
        raise ValueError
    assert len(caplog.records) == 2
    assert "in fault" in caplog.text
    with pytest.raises(SystemExit), faults:
        raise SystemExit


def test_a_writer(caplog: pytest.LogCaptureFixture) -> None:
    """The writer's thread goes on after a job that raises, and has all its room again."""
    writer, done = Writer("test", limit=2000), []
    for _ in range(10):
        while not writer.put(400, fault):
            pass
    while not writer.put(400, lambda: done.append(1)):
        pass
    assert writer.close(DEADLINE)
    assert (done, said(caplog)) == ([1], 1)


async def test_the_deaths_of_children(
    tmp_path: Path, runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """If one listener raises when a child dies, the others still hear of their children."""
    heard: list[int] = []
    runner.reaper.on_death(fault)
    for number in range(5):
        runner.reaper.on_death(lambda number=number: heard.append(number))
    script = tmp_path / "script.py"
    script.touch()
    await runner.run(script)
    assert set(heard) == set(range(5))
    assert said(caplog) == 1


async def test_what_a_process_writes() -> None:
    """A reader that raises, or whose `behind` raises, still gets what comes next."""
    read, write = os.pipe()
    came: asyncio.Queue[bytes] = asyncio.Queue()

    def take(data: bytes) -> None:
        came.put_nowait(data)
        if data == b"a":
            fault()

    left = 2

    def behind() -> bool:
        nonlocal left
        left -= 1
        return fault() if left >= 0 else False

    pipe = Pipe(read, take, behind=behind)
    async with asyncio.timeout(DEADLINE):
        for data in b"a", b"b":
            os.write(write, data)
            assert await came.get() == data
    pipe.close()
    os.close(write)


async def test_an_end_that_cannot_be_looked_at(
    tmp_path: Path,
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If no descriptor is left to read the process table, the end is told when there is one."""
    left = 20

    def listing(real: Callable[..., list[str]], *arguments: Any) -> list[str]:
        nonlocal left
        if left > 0:
            left -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*arguments)

    real = table.os.listdir
    script = tmp_path / "script.py"
    script.touch()
    _, heard = runner.launch(script)
    with monkeypatch.context() as patch:
        patch.setattr("os.listdir", lambda *arguments: listing(real, *arguments))
        await heard.until("is_cleared")
    assert (left, heard.code) == (0, 0)
    assert caplog.text.count("cannot be seen: [Errno 24]") == 1


class Hog:
    """A run that takes too much memory, after the first looks, which raise."""

    pid = os.getpid()

    def __init__(self, faults: int) -> None:
        self.left = faults
        self.killed = asyncio.get_running_loop().create_future()

    def tree(self, everyone: object = None) -> dict[int, Any]:
        assert everyone, "the event loop would read the process table"
        self.left -= 1
        return fault() if self.left >= 0 else {self.pid: look_up(self.pid)}

    def kill(self, reason: str) -> None:
        if not self.killed.done():
            self.killed.set_result(reason)
            fault()


async def test_the_watch_of_limits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a look that raises, other looks follow, and the limit is enforced."""
    monkeypatch.setattr("bgrscrpt_ioc.limits.watch.EVERY", 0.01)
    hog, looked = Hog(3), asyncio.Event()
    watch = Watch(
        hog,
        Limits(memory=1000),
        meter=Meter(),
        processes=ProcessTable(),
        worker=Worker(),
        looked=looked.set,
    )
    async with asyncio.timeout(DEADLINE):
        assert await hog.killed == "memory limit 0.001 MB"
    async with asyncio.timeout(DEADLINE):
        await looked.wait()
    watch.stop()
    assert said(caplog) == 1


async def test_a_guardian_that_does_not_listen(runner: Runner) -> None:
    """A guardian that is stopped, with a full pipe, is replaced by one that is told everything."""
    guardian = Guardian(runner.reaper, f"test{os.getpid()}.9")
    guardian.start()
    first = guardian.pid
    os.kill(first, signal.SIGSTOP)
    for number in range(10_000):
        guardian.close(2**31 + number)
    async with asyncio.timeout(DEADLINE):
        while guardian.pid == first:
            await asyncio.sleep(0.01)
    ended = asyncio.get_running_loop().create_future()
    runner.reaper.watch(guardian.pid, ended.set_result)
    guardian.stop()
    async with asyncio.timeout(DEADLINE):
        assert await ended == 0


async def test_the_clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What raises at one tick of the IOC is called at the next."""
    monkeypatch.setattr(serve, "next_beat", lambda now: now + 0.001)
    ticks: asyncio.Queue[float] = asyncio.Queue()

    class Logs:
        def tick(self, now: float, _monotonic: float) -> float:
            ticks.put_nowait(now)
            return fault()

    class Quiet:
        look = staticmethod(fault)

    class Nothing:
        live = ()

    ticks_on = serve.tick(Nothing(), Logs(), Quiet())  # type: ignore[arg-type]
    ticking = asyncio.create_task(ticks_on)
    async with asyncio.timeout(DEADLINE):
        for _ in range(3):
            await ticks.get()
    ticking.cancel()
    assert said(caplog) == 1


async def test_beacons(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a beacon that fails, the next one is sent."""
    beacons = Beacons(5064, {("127.0.0.1", 9): "127.0.0.1"}, 15.0)
    monkeypatch.setattr(beacons._protocol, "send", fault)
    with pytest.raises(RuntimeError):
        beacons.send()
    assert beacons._timer is not None
    beacons.close()


async def test_a_guardian_that_cannot_be_started(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the guardian cannot be started, it is tried again, and no other file is written to."""
    monkeypatch.setattr("bgrscrpt_ioc.host.posix.guardian.AGAIN", 0.01)
    guardian, real, left = Guardian(runner.reaper, f"test{os.getpid()}.8"), subprocess.Popen, 3
    guardian.start()
    first = guardian.pid

    def popen(*arguments: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        assert guardian._pipe >= 0
        return fault() if left >= 0 else real(*arguments, **more)

    monkeypatch.setattr(subprocess, "Popen", popen)
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        while guardian.pid == first:
            await asyncio.sleep(0.001)
            if left < 3 and guardian.pid == first:
                assert guardian._pipe == -1
                guardian.open(1, 1)
                guardian.close(1)
    ended = asyncio.get_running_loop().create_future()
    runner.reaper.watch(guardian.pid, ended.set_result)
    guardian.stop()
    async with asyncio.timeout(DEADLINE):
        assert await ended == 0


async def test_threads_for_files(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If there is no thread, or a fault comes between two jobs, the jobs are done later."""
    real, left = threading.Thread.start, 3

    def start(self: threading.Thread) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            fault()
        real(self)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        threads = Threads(late=0.01)
        worker, done = Worker(threads), asyncio.Queue[int]()
        worker.do("job", lambda: 1, done.put_nowait)
        async with asyncio.timeout(DEADLINE):
            assert await done.get() == 1
    ill, other = Worker(threads), Worker(threads)
    monkeypatch.setattr(ill, "take", fault)
    ill.do("job", lambda: 2, done.put_nowait)
    other.do("job", lambda: 3, done.put_nowait)
    async with asyncio.timeout(DEADLINE):
        assert await done.get() == 3
    threads.close(DEADLINE)
    assert (left, said(caplog)) == (-1, 1)


async def test_threads_that_were_added_end() -> None:
    """When no job hangs any more, there is one thread, as before."""
    threads, gate = Threads(late=0.01, idle=0.05), threading.Event()
    workers = [Worker(threads) for _ in range(8)]
    for worker in workers:
        worker.do("hangs", gate.wait)
    async with asyncio.timeout(DEADLINE):
        while threads._count < 8:
            await asyncio.sleep(0.01)
        gate.set()
        while threads._count > 1:
            await asyncio.sleep(0.01)
    threads.close(DEADLINE)


def test_names_of_hosts(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """After a look-up that raises, others follow."""
    resolver = Resolver()
    with monkeypatch.context() as patch:
        patch.setattr(resolver_module, "look_up", fault)
        assert resolver.wait(["localhost"], DEADLINE) == {"localhost": ()}
    assert resolver.wait(["localhost"], DEADLINE) == {"localhost": ("127.0.0.1",)}
    assert said(caplog) == 1


async def test_taking_connections(caplog: pytest.LogCaptureFixture) -> None:
    """After a fault with one connection, others are accepted."""
    links = Links(ClientLimits())
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    came: list[object] = []

    def make(address: object) -> Any:
        came.append(address)
        return fault()

    acceptor = Acceptor(listening, make, links)
    acceptor._failed = fault
    loop, real, left = asyncio.get_running_loop(), asyncio.get_running_loop().sock_accept, 1

    async def accept(each: socket.socket) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise OSError(errno.EMFILE, "none left")
        return await real(each)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "sock_accept", accept)
        patch.setattr("bgrscrpt_ioc.ca.listener.PAUSE", 0.01)
        async with asyncio.timeout(DEADLINE):
            while len(came) < 3:
                socket.create_connection(listening.getsockname()).close()
                await asyncio.sleep(0.01)
    await acceptor.close()
    assert (left < 0, said(caplog)) == (True, 1)
