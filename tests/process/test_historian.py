"""The history of an instance with real children has every run, whatever the disk does."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc.host.worker import Threads, Worker
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.script import historian
from bgrscrpt_ioc.script.historian import Historian
from bgrscrpt_ioc.script.history import PastRun, line, read
from bgrscrpt_ioc.script.historyfile import MAX_TEXT, history_of, texts_of
from bgrscrpt_ioc.script.story import How, RunBegan, RunEnded
from tests.process.supervised import DEADLINE, Bench, Readings

NAME = "TE:BGRSCRPT_01"


def on_file(directory: Path) -> list[PastRun]:
    """Return the runs in the file, oldest first."""
    path = history_of(directory, NAME).path
    return read(path.read_bytes())[0] if path.exists() else []


def in_pv(readings: Readings) -> list[dict[str, Any]]:
    """Return the runs in HISTORY, newest first."""
    return [json.loads(each) for each in readings.value("HISTORY").splitlines()]


async def test_each_run_is_there(bench: Bench) -> None:
    """A run shows who asked, how it ended, its error and place, and its text, also after STOP."""
    supervisor = bench.supervise("raise ValueError('no beam')\n", restart="never")
    await supervisor.start("alice@ndw")
    await bench.readings.until("HISTORY", lambda text: '"failed"' in text)
    bench.write("import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    await supervisor.start("bob@ndw")
    await bench.readings.until("LOG", lambda text: text.endswith("up"))
    assert [(run["number"], run["how"]) for run in in_pv(bench.readings)] == [
        (2, "running"),
        (1, "failed"),
    ]
    await supervisor.restart("carol@ndw")
    await supervisor.stop("dave@ndw")
    third, second, first = in_pv(bench.readings)
    assert (first["by"], first["how"], first["code"]) == ("alice@ndw", "failed", 1)
    assert first["reason"] == "exit 1"
    assert first["error"] == "ValueError: no beam (script.py:1)"
    assert first["why"] == "exit 1: ValueError: no beam (script.py:1)"
    assert (second["by"], second["how"]) == ("bob@ndw", "restarted")
    assert second["why"] == "restarting for carol@ndw"
    assert second["error"] == ""  # ERROR had that of the first run
    assert (third["by"], third["how"]) == ("carol@ndw", "stopped")
    assert third["why"] == "stopped by dave@ndw"
    assert third["start"] == bench.readings.value("STARTTIME")
    assert third["end"] >= third["start"]
    assert third["sha256"] == bench.readings.value("SCRIPT:SHA256")
    bench.worker.close(DEADLINE)
    runs = on_file(bench.directory)
    assert [(run.number, run.how) for run in runs] == [
        (1, "failed"), (2, "restarted"), (3, "stopped")
    ]  # fmt: skip
    assert runs[0].script == str(bench.script)
    texts = texts_of(bench.directory, NAME)
    assert texts.file(runs[0].sha256).read_text() == "raise ValueError('no beam')\n"
    assert texts.file(runs[2].sha256).read_text() == bench.script.read_text()


async def test_what_is_not_launched(bench: Bench) -> None:
    """A run without an interpreter is a run that has failed."""
    supervisor = bench.supervise(python="/no/such/python", restart="never")
    with pytest.raises(Exception, match="cannot run"):
        await supervisor.start("a@h")
    (run,) = in_pv(bench.readings)
    assert (run["how"], run["code"], run["reason"]) == ("failed", 127, "not started")
    assert "/no/such/python" in run["error"]


class Kept:
    """A historian alone, with runs that are made up."""

    def __init__(self, directory: Path, threads: Threads) -> None:
        self.directory, self.threads = directory, threads
        self.readings = Readings()
        self.historian = Historian(
            "BGRSCRPT_01",
            "/s.py",
            file=history_of(directory, NAME),
            texts=texts_of(directory, NAME),
            get_text=lambda _sha256, then: then(b"x" * (MAX_TEXT + 1)),
            worker=Worker(threads),
            publish=self.readings.publish,
        )

    def run(self, number: int, *, ends: bool = True) -> None:
        self.historian.happened(RunBegan(number, "a@h", 0))
        if ends:
            self.historian.happened(RunEnded(number, How.FINISHED, "exit 0"))

    def close(self) -> None:
        self.historian.close()
        self.threads.close(DEADLINE)

    async def until_on_file(self, *numbers: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while [run.number for run in on_file(self.directory)] != [*numbers]:
                await asyncio.sleep(0.01)


async def test_numbers_go_on(tmp_path: Path) -> None:
    """The numbers of runs continue in the next IOC, also after a run that was left open."""
    first = Kept(tmp_path, Threads())
    first.run(1)
    first.run(2, ends=False)
    first.close()
    second = Kept(tmp_path, Threads())
    second.run(1)  # before the file is read
    await second.until_on_file(1, 2, 3)
    shown = [(run["number"], run["how"], run["why"]) for run in in_pv(second.readings)]
    assert shown == [
        (3, "finished", "exit 0"),
        (2, "lost", "the IOC ended"),
        (1, "finished", "exit 0"),
    ]
    second.close()


async def test_what_is_closed_writes_no_more(tmp_path: Path) -> None:
    """After its end it writes nothing, even if the answer to the first read comes late."""
    kept = Kept(tmp_path, Threads())
    kept.run(1)
    kept.close()
    history_of(tmp_path, NAME).path.unlink()
    await asyncio.sleep(0)  # the answer has been waiting for the event loop
    kept.threads.close(DEADLINE)
    assert on_file(tmp_path) == []


async def test_stacks_are_kept_in_the_file_only(tmp_path: Path) -> None:
    """The stacks of a run that hung are in its line of the file, but not in the PV."""
    kept = Kept(tmp_path, Threads())
    kept.run(1, ends=False)
    kept.historian.add_stacks("Thread 1:\n  File s.py, line 3")
    kept.close()
    assert on_file(tmp_path)[0].stacks == "Thread 1:\n  File s.py, line 3"
    assert "stacks" not in in_pv(kept.readings)[0]


async def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """Runs are in the order of their numbers, and setting the clock changes no length."""
    first = Kept(tmp_path, Threads())
    first.run(1)
    first.close()
    path = history_of(tmp_path, NAME).path
    future = replace(on_file(tmp_path)[0], start="2099-01-01T00:00:00+00:00")
    path.write_bytes(line(future) + b"\n")
    second = Kept(tmp_path, Threads())
    second.run(1, ends=False)
    second.historian.published("STARTTIME", "2099-01-01T01:00:00+00:00")
    second.historian.happened(RunEnded(1, How.FINISHED, "exit 0"))
    second.close()
    newest = on_file(tmp_path)[-1]
    assert (newest.number, newest.start[:4]) == (2, "2099")
    assert 0 <= newest.seconds < DEADLINE


async def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """HISTORY goes on in alarm; when there is room again, all runs are in the file."""
    monkeypatch.setattr(historian, "RETRY", 0.02)
    caplog.set_level(logging.INFO)
    from tests.faults.disks import tmpfs  # not at the top: Windows has none

    with tmpfs(tmp_path / "disk") as disk:
        kept = Kept(disk.path, Threads())
        kept.run(1)
        await kept.until_on_file(1)
        disk.fill()
        kept.run(2)
        await kept.readings.until("HISTORY", lambda _: True)
        async with asyncio.timeout(DEADLINE):
            while kept.readings["HISTORY"][1] is not Severity.MINOR:
                await asyncio.sleep(0.01)
        kept.run(3)
        assert [run["number"] for run in in_pv(kept.readings)] == [3, 2, 1]
        disk.make_room()
        await kept.until_on_file(1, 2, 3)
        async with asyncio.timeout(DEADLINE):
            while kept.readings["HISTORY"][1] is not Severity.NO_ALARM:
                await asyncio.sleep(0.01)
        kept.close()
    said = [each.getMessage() for each in caplog.records]
    assert sum("No space left on device; trying again" in each for each in said) == 1
    assert sum("is kept again" in each for each in said) == 1


async def test_a_hung_disk(tmp_path: Path) -> None:
    """Nobody waits for the disk: runs go on, and are saved when it answers, or lost at the end."""
    threads, gate = Threads(late=0.01), threading.Event()
    kept = Kept(tmp_path, threads)
    worker = kept.historian._worker
    worker.do("hang", gate.wait)
    for number in range(1, 50):
        kept.run(number)
    assert [run["number"] for run in in_pv(kept.readings)][:2] == [49, 48]
    assert on_file(tmp_path) == []
    gate.set()
    await kept.until_on_file(*range(1, 50))
    kept.close()


async def test_a_text_that_is_too_long(tmp_path: Path) -> None:
    """A text that is too long is not kept, but its run is in the history."""
    kept = Kept(tmp_path, Threads())
    kept.run(1, ends=False)
    kept.historian.published("SCRIPT:SHA256", "abc")
    kept.close()
    assert on_file(tmp_path)[0].sha256 == "abc"
    assert not texts_of(tmp_path, NAME).path.exists()
