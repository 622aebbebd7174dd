"""While the files of an instance do not answer, its commands end, and none of them launches it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from bgrscrpt_ioc.lifecycle.events import CommandFailed, State
from bgrscrpt_ioc.process.spawn import UNREACHED
from tests.process.supervised import DEADLINE, Bench


class Disk:
    """A disk that hangs while `answers` is not set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()

    def reach(self, _order: object) -> None:
        assert self.answers.wait(DEADLINE)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk of the files of each launch."""
    disk = Disk()
    monkeypatch.setattr("bgrscrpt_ioc.script.launcher.reach", disk.reach)
    yield disk
    disk.answers.set()


async def test_a_start_that_is_given_up(bench: Bench, disk: Disk) -> None:
    """STOP or `start_timeout` ends a start; if the disk answers later, nothing is launched."""
    supervisor = bench.supervise(restart="never", start_timeout=6.0)
    disk.answers.clear()
    start = asyncio.create_task(supervisor.start("a@h"))
    await bench.readings.until("STATUS", State.STARTING)
    async with asyncio.timeout(DEADLINE):
        await supervisor.stop("a@h")
        with pytest.raises(CommandFailed):
            await start
        with pytest.raises(CommandFailed):
            await supervisor.start("a@h")
    assert bench.readings.value("STATUS") == State.FAILED
    assert bench.readings.value("ERROR") == UNREACHED
    assert bench.readings.value("EXITREASON") == "not started"
    disk.answers.set()
    answered = asyncio.Event()
    bench.launcher.reach(answered.set)
    await answered.wait()
    assert bench.readings.value("STATUS") == State.FAILED
    assert bench.processes() == {}
    async with asyncio.timeout(DEADLINE):
        await supervisor.start("a@h")
    assert len(bench.processes()) == 1


async def test_a_restart_and_a_check(bench: Bench, disk: Disk) -> None:
    """RESTART and CHECK fail after a while; the script that runs goes on."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    before = bench.processes()
    bench.launcher.patience = 0.1
    disk.answers.clear()
    for command in supervisor.restart, supervisor.check:
        with pytest.raises(CommandFailed, match="does not answer"):
            async with asyncio.timeout(DEADLINE):
                await command("a@h")
    assert bench.readings.value("STATUS") == State.RUNNING
    assert bench.processes() == before
    disk.answers.set()
    async with asyncio.timeout(DEADLINE):
        await supervisor.restart("a@h")
    assert bench.processes().keys().isdisjoint(before)


async def test_commands_at_one_time(bench: Bench, disk: Disk) -> None:
    """The last of the looks that wait answers for all: CHECKs beside a START are all answered."""
    supervisor = bench.supervise()
    disk.answers.clear()
    commands = [supervisor.check("a@h"), supervisor.start("a@h"), supervisor.check("b@h")]
    tasks = [asyncio.create_task(each) for each in commands]
    await bench.readings.until("STATUS", State.STARTING)
    disk.answers.set()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*tasks)
    assert bench.readings.value("STATUS") == State.RUNNING
