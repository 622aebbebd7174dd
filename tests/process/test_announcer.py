"""Notices by real commands: what commands get, how often they run, and what a failure causes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.script.announcer import Announcer, about
from bgrscrpt_ioc.script.story import Happening, How, Hung, RunBegan, RunEnded, WellAgain
from tests.process.scripts import DEADLINE, Runner, alive

# Keeps what it was given, in a file for each notice.
TELL = """
import json, os, sys, pathlib, time
given = json.load(sys.stdin)
given["environ"] = {key: value for key, value in os.environ.items() if key.startswith("BGRSCRPT_")}
given["cwd"] = os.getcwd()
file = pathlib.Path(sys.argv[1], f"{time.time_ns()}")
file.with_suffix(".part").write_text(json.dumps(given))
file.with_suffix(".part").rename(file.with_suffix(".json"))
"""
FAILED = RunEnded(1, How.FAILED, "exit 1", "exit 1; starts again in 1 s")
GAVE_UP = RunEnded(5, How.FAILED, "exit 1", "exit 1; gave up after 5 failures", final=True)


class Noted:
    """Records what is noted in the log file; in place of an Output."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.changed = asyncio.Event()

    def remark(self, text: str) -> None:
        self.remarks.append(text)
        self.changed.set()


Announce = Callable[..., Announcer]


@pytest.fixture
async def noted() -> Noted:
    return Noted()


@pytest.fixture
async def announce(runner: Runner, noted: Noted) -> AsyncIterator[Announce]:
    """Makes announcers, and ends their commands when the test ends."""
    made: list[Announcer] = []
    worker = Worker()

    def make(commands: dict[str, Any], **more: Any) -> Announcer:
        made.append(
            Announcer(
                commands,
                about("BGRSCRPT_01", "TE:", "/s.py"),
                reaper=runner.reaper,
                worker=worker,
                output=noted,  # pyright: ignore[reportArgumentType] - the part that is used
                **more,
            )
        )
        return made[-1]

    yield make
    for each in made:
        each.close()
        await each._background.end()
    worker.close(DEADLINE)


def tell(directory: Path) -> list[str]:
    (directory / "tell.py").write_text(TELL)
    return [sys.executable, str(directory / "tell.py"), str(directory)]


async def told(directory: Path, count: int) -> list[dict[str, Any]]:
    """Wait for so many notices; return them in the order in which they came."""
    async with asyncio.timeout(DEADLINE):
        while len(found := sorted(directory.glob("*.json"))) < count:
            await asyncio.sleep(0.01)
    return [json.loads(each.read_text()) for each in found]


async def test_a_notice(
    announce: Announce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notice is JSON on stdin, and the same in the environment. The error is that of the run."""
    monkeypatch.setenv("BGRSCRPT_RUN", "the cookie of a run that started the IOC")
    announcer = announce({"on_failure": tell(tmp_path)})
    announcer.published("ERROR", "of an earlier run")
    announcer.happened(RunBegan(1, "a@h", 0))
    announcer.published("ERROR", "ValueError: x (s.py:3)")
    announcer.happened(FAILED)
    (given,) = await told(tmp_path, 1)
    assert given["text"] == "TE:BGRSCRPT_01 has failed: exit 1; starts again in 1 s"
    assert (given["event"], given["error"]) == ("failure", "ValueError: x (s.py:3)")
    environ = given["environ"]
    assert environ["BGRSCRPT_TEXT"] == given["text"]
    assert environ["BGRSCRPT_NAME"] == "BGRSCRPT_01"
    assert "BGRSCRPT_RUN" not in environ
    assert given["cwd"] == "/"


async def test_not_too_often(announce: Announce, tmp_path: Path) -> None:
    """The first notice is sent at once, then the newest of those that came since, with a count."""
    announcer = announce({"on_failure": tell(tmp_path), "on_recovery": tell(tmp_path)}, every=1.0)
    happenings: list[Happening] = [FAILED, FAILED, FAILED, Hung(3, "no command"), FAILED, GAVE_UP]
    for happening in happenings:
        announcer.happened(happening)
    first, second = await told(tmp_path, 2)
    assert (first["event"], first["more"]) == ("failure", {})
    assert (second["event"], second["more"]) == ("gave_up", {"failure": 3})
    announcer.happened(WellAgain(6, "it runs well again"))
    third = (await told(tmp_path, 3))[2]
    assert (third["event"], third["more"]) == ("recovery", {})


async def test_commands_that_fail(
    announce: Announce, noted: Noted, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """A failure is in the log and the log file, without arguments.

    A command that hangs is killed.
    """
    code = "import sys; sys.stdin.read(); sys.exit('no such user')"
    hang = f"open({str(tmp_path / 'begun')!r}, 'w'); import time; time.sleep(1000)"
    for command, limit, says in (
        ([sys.executable, "-c", code, "SECRET"], DEADLINE, "exit 1: no such user"),
        (["no_such_program", "SECRET"], DEADLINE, "no such program in PATH that can be run"),
        ([str(tmp_path), "SECRET"], DEADLINE, "no such program"),
        ([sys.executable, "-c", hang, "SECRET"], 2.0, "not done within 2 s"),
    ):
        noted.changed.clear()
        announce({"on_hung": command}, limit=limit).happened(Hung(1, "no heartbeat"))
        async with asyncio.timeout(DEADLINE):
            await noted.changed.wait()
        assert noted.remarks[-1].startswith("notify: the command of on_hung failed for a hung: ")
        assert says in noted.remarks[-1]
        assert says in caplog.records[-1].getMessage()
    assert not any("SECRET" in each for each in (*noted.remarks, caplog.text))


async def test_the_end_of_the_ioc(announce: Announce, tmp_path: Path) -> None:
    """When the IOC ends, a command that runs is killed, and what waits is not sent."""
    begun = tmp_path / "begun"
    hang = f"import os, time; open({str(begun)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    announcer = announce({"on_failure": [sys.executable, "-c", hang]}, every=0.2)
    announcer.happened(FAILED)
    async with asyncio.timeout(DEADLINE):
        while not (begun.exists() and begun.read_text()):
            await asyncio.sleep(0.01)
    pid = int(begun.read_text())
    announcer.happened(GAVE_UP)
    announcer.close()
    async with asyncio.timeout(DEADLINE):
        while alive(pid):
            await asyncio.sleep(0.01)
    assert announcer._paced._timer is None
