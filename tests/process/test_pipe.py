"""How the event loop reads what processes write: in portions, with pauses; by a fake clock."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bgrscrpt_ioc.host.contract import End
from bgrscrpt_ioc.host.posix.pipe import Pipe
from bgrscrpt_ioc.host.ration import DEAR, LEAST
from bgrscrpt_ioc.host.system import Reaper
from bgrscrpt_ioc.process import messages as msg
from bgrscrpt_ioc.process import process as process_module
from bgrscrpt_ioc.process.frames import LAST, PORTION, MessageReader
from bgrscrpt_ioc.process.order import Order
from bgrscrpt_ioc.process.process import CREDIT, REST, TURN, ScriptProcess
from tests.process.scripts import DEADLINE


class Clock:
    """The work of a thread, s."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_pipe_rests() -> None:
    """A pipe whose reader takes long is read in ever smaller portions; all of it is read."""
    clock, come = Clock(), list[int]()
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    everything = asyncio.Event()

    def take(data: bytes) -> None:
        clock.now += 1.5 * DEAR
        come.append(len(data))
        if sum(come) == total:
            everything.set()

    total = os.write(theirs, b"x" * (1 << 20))
    pipe = Pipe(ours, take, chunk=1 << 14, clock=clock)
    async with asyncio.timeout(DEADLINE):
        await everything.wait()
    assert come[:2] == [1 << 14, 1 << 13]
    assert set(come[2:]) == {LEAST}
    pipe.close()
    os.close(theirs)


async def test_the_end_of_a_run_is_read_at_once() -> None:
    """What is in a pipe when its process ends is read whole, however dear."""
    clock, come = Clock(), list[int]()
    ours, theirs = os.pipe()

    def take(data: bytes) -> None:
        clock.now += 1.0
        come.append(len(data))

    pipe = Pipe(ours, take, clock=clock)
    for _ in range(3):
        os.write(theirs, b"x" * (1 << 16))
        pipe.drain()
    assert sum(come) == 3 << 16
    pipe.close()
    os.close(theirs)


class Loop:
    """An event loop whose time passes when a test says so; some of it is work."""

    def __init__(self) -> None:
        self.now = self.work = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> SimpleNamespace:
        self.due.append((delay, call))
        return SimpleNamespace(cancel=self.due.clear)

    def turn(self) -> float:
        """Let time pass until something is due, and do that; return how long it took."""
        ((delay, call),) = self.due
        self.due.clear()
        self.now += delay
        before = self.work
        call()
        self.now += self.work - before
        return self.work - before


A_FRAME, A_MESSAGE = 1e-6, 5e-5  # s that each takes


class Listener:
    """Hears messages, which takes time."""

    behind = False

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.heard: list[msg.Message] = []

    def said(self, message: msg.Message) -> None:
        self._loop.work += A_MESSAGE
        self.heard.append(message)

    def output(self, data: bytes) -> None: ...

    def exited(self, code: int, reason: str, survivors: int) -> None: ...

    def cleared(self) -> None: ...


@pytest.fixture
async def run(monkeypatch: pytest.MonkeyPatch) -> tuple[ScriptProcess, Loop, Listener]:
    """A run without processes: a stand-in for the tree, and for the clock."""
    loop = Loop()
    listener = Listener(loop)

    class Reader(MessageReader):
        def _frame(self, frame: bytes) -> Iterator[msg.Message]:
            loop.work += A_FRAME
            return super()._frame(frame)

    tree = SimpleNamespace(pid=1, mark=1)
    monkeypatch.setattr(process_module, "Tree", lambda *_, **__: tree)
    monkeypatch.setattr(process_module, "MessageReader", Reader)
    monkeypatch.setattr(process_module, "time", SimpleNamespace(thread_time=lambda: loop.work))
    monkeypatch.setattr(process_module.asyncio, "get_running_loop", lambda: loop)
    order = Order(Path("script.py"), sys.executable, Path())
    return ScriptProcess(order, cast("Reaper", None), listener), loop, listener


def flooded(process: ScriptProcess, loop: Loop, data: bytes, seconds: float) -> list[float]:
    """Write these bytes whenever they are read, for so long; return how long each turn took."""
    turns: list[float] = []
    while loop.now < seconds:
        if process.busy:
            turns.append(loop.turn())
        else:
            before = loop.work
            process.told(data)
            turns.append(loop.work - before)
            loop.now += turns[-1]
    return turns


@pytest.mark.parametrize(
    "data",
    [
        b"1+\n" * 20_000,  # messages without an end
        b"1!X=1\n" * 10_000,
        b'1={"kind" :"alive","count":1}\n' * 2000,  # forged, so that none stands for others
    ],
)
def test_a_flood_of_messages_takes_a_fifth(
    run: tuple[ScriptProcess, Loop, Listener], data: bytes
) -> None:
    """Whatever comes, a turn is short, and the run rests four times as long as it has taken."""
    process, loop, _ = run
    turns = flooded(process, loop, data, 1.0)
    assert max(turns) <= TURN + A_MESSAGE + PORTION * A_FRAME
    assert sum(turns) <= CREDIT + loop.now / (1 + REST) + max(turns)


def test_a_portion_of_frames() -> None:
    """Of thousands of frames some are looked at in one go; what follows them is read in order."""
    reader, goes = MessageReader(), 0
    said = b'2={"kind":"message","text":"%d"}\n'
    reader.take(b"1+\n" * 1000 + said % 1 + b"\n" * 1000 + said % 2)
    read: list[msg.Message] = []
    while reader.waits:
        goes += 1
        read += reader.read()
    assert goes == 2002 // PORTION + 1
    assert [each for each in read if isinstance(each, msg.Said)] == [msg.Said("1"), msg.Said("2")]


def test_the_last_messages(run: tuple[ScriptProcess, Loop, Listener]) -> None:
    """When a run ends, its first and its last messages are read, and nothing waits."""
    process, loop, listener = run
    process.told(b"1+\n" * 20_000)
    said = b'2={"kind":"message","text":"%d"}\n'
    process.told(said % 1 + b"1+\n" * 20_000 + said % 2)
    before = loop.work
    process.ended(End(0, "exit 0"))
    assert listener.heard[-1] == msg.Said("2")
    assert loop.work - before < LAST * A_FRAME + 100 * A_MESSAGE
    assert not process.busy
    assert sum("too many for messages" in str(each) for each in listener.heard) == 1
