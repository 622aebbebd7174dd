"""STACK of an instance: asked for, kept when the run hangs, and never in the way of its end."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading

import pytest

from bgrscrpt_ioc.host.contract import Dump
from bgrscrpt_ioc.lifecycle.events import CommandFailed, State
from bgrscrpt_ioc.script import stack
from tests.process.supervised import DEADLINE, FOREVER, Bench

HERE = re.compile(r'script.py", line [234] in <module>\n$')  # where FOREVER prints and sleeps


async def test_asked(bench: Bench) -> None:
    """STACK ends when STACK:TEXT has the stacks, with when and for whom they were taken."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "up")
    await asyncio.gather(supervisor.stack("alice@h"), supervisor.stack("bob@h"))
    text = bench.readings.value("STACK:TEXT")
    assert text.partition("\n")[0].endswith(" run 1, asked by alice@h")
    assert HERE.search(text)
    await supervisor.stack("carol@h")
    assert "carol@h" in bench.readings.value("STACK:TEXT")


async def test_not_running(bench: Bench) -> None:
    """STACK of a script that does not run fails, and leaves what was taken last."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "up")
    await supervisor.stack("a@h")
    await supervisor.stop("a@h")
    with pytest.raises(CommandFailed, match="the script does not run"):
        await supervisor.stack("a@h")
    assert HERE.search(bench.readings.value("STACK:TEXT"))


async def test_kept_of_a_run_that_hangs(bench: Bench) -> None:
    """A run that misses its heartbeat leaves its stacks in STACK:TEXT and the log, then ends."""
    supervisor = bench.supervise(
        "import sys\n" + FOREVER, heartbeat_timeout=0.5, restart_when_hung=True, backoff=60
    )
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.BACKOFF)
    text = bench.readings.value("STACK:TEXT")
    assert text.partition("\n")[0].endswith(" run 1: no heartbeat for 0.5 s")
    assert HERE.search(text)
    bench.writer.close(DEADLINE)
    (file,) = (bench.directory / "log").iterdir()
    remarks = [line.partition("--- ")[2] for line in file.read_text().splitlines()]
    assert set(text.splitlines()) - {""} <= set(remarks)
    assert "line 4" not in bench.readings.value("LOG").replace("KeyboardInterrupt", "")


async def test_a_run_that_cannot_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that hangs in the kernel is stopped a moment later, with what is known of it."""
    monkeypatch.setattr(stack, "MOMENT", 0.2)
    supervisor = bench.supervise(
        heartbeat_timeout=0.5, restart_when_hung=True, restart="never", stop_timeout=0.2
    )
    await supervisor.start("a@h")
    os.kill(bench.readings.value("PID"), signal.SIGSTOP)
    await bench.readings.until("STATUS", State.FAILED)
    text = bench.readings.value("STACK:TEXT")
    assert "no stacks: it did not answer in time (its threads: 1 stopped by a signal)" in text
    assert bench.readings.value("EXITREASON") == "SIGKILL (did not stop)"


async def test_a_fault_of_ours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, STACK comes to its end and a run that hangs is restarted."""

    def fails(*_: object) -> list[Dump]:
        raise RuntimeError

    monkeypatch.setattr(stack, "take_stacks", fails)
    supervisor = bench.supervise(heartbeat_timeout=0.5, restart_when_hung=True, restart="never")
    await supervisor.start("a@h")
    with pytest.raises(CommandFailed, match="no stacks: an internal error of the IOC"):
        await supervisor.stack("a@h")
    await bench.readings.until("STATUS", State.FAILED)


async def test_the_end_of_the_ioc(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An IOC that ends does not wait for stacks."""
    over = threading.Event()
    monkeypatch.setattr(stack, "take_stacks", lambda *_: [Dump(1)] * over.wait(DEADLINE))
    supervisor = bench.supervise(heartbeat_timeout=0.2)
    await supervisor.start("a@h")
    await bench.readings.until("STATUS:MSG", "no heartbeat for 0.2 s")
    await supervisor.shutdown()
    assert "STACK:TEXT" not in bench.readings
    over.set()
    bench.supervise()
