"""The script's file: when it is read again, and what git says of it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc.host.system import Reaper
from bgrscrpt_ioc.host.worker import Threads, Worker
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.script.scriptfile import ScriptFile, git_revision, look, parse_status


@pytest.fixture
async def reaper() -> AsyncIterator[Reaper]:
    """A reaper on the test's loop."""
    reaper = Reaper()
    reaper.start()
    yield reaper
    reaper.stop()


def test_a_file_is_read_once_while_it_stays(tmp_path: Path) -> None:
    """An unchanged file is not read again; a changed one is, and one that changed just now."""
    script = tmp_path / "script.py"
    script.write_text("a")
    assert look(script, look(script)).fresh
    os.utime(script, (1, 1))
    first = look(script)
    assert first.sha256 == hashlib.sha256(b"a").hexdigest()
    assert look(script, first) is first
    script.write_text("bb")
    assert look(script, first).sha256 == hashlib.sha256(b"bb").hexdigest()


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """No file has no hash, so it differs from whatever runs."""
    assert look(tmp_path / "none").sha256 == ""


def test_a_fifo_is_not_read(tmp_path: Path) -> None:
    """What is no file is told as what it is; nobody waits for what may never come of it."""
    fifo = tmp_path / "script.py"
    os.mkfifo(fifo)
    found = look(fifo)
    told = f"{fifo} is a FIFO, not a file: set `script` to a Python file"
    assert (found.mark, found.sha256, found.problem) == (None, "", told)
    assert look(Path("/dev/zero")).problem.startswith("/dev/zero is a socket or a device")


async def test_a_file_that_is_waited_for_is_told(tmp_path: Path, reaper: Reaper) -> None:
    """While the disk hangs SCRIPT:MSG and SCRIPT:CHANGED are in alarm; then they are as before."""
    script = tmp_path / "script.py"
    script.touch()
    threads, gate = Threads(late=0.01, hangs=0.05), threading.Event()
    worker, published = Worker(threads), asyncio.Queue()

    def publish(name: str, value: Any, severity: Severity = Severity.NO_ALARM) -> None:
        if name == "SCRIPT:MSG":
            published.put_nowait((value, severity))

    file = ScriptFile("X", script, worker=worker, reaper=reaper, publish=publish)
    worker.do("save the state", gate.wait)
    async with asyncio.timeout(60):
        text, severity = await published.get()
        assert (text.startswith("save the state: not done"), severity) == (True, Severity.MINOR)
        gate.set()
        assert await published.get() == ("", Severity.NO_ALARM)
        await file.look()
    threads.close(10)


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    command = ["git", *identity, *arguments]
    return subprocess.run(
        command, cwd=directory, check=True, capture_output=True, text=True
    ).stdout.strip()


async def test_revision_of_a_script(tmp_path: Path, reaper: Reaper) -> None:
    """A clean script has its repository's revision, a modified one a `+` behind it."""
    script = tmp_path / "script.py"
    script.write_text("a")
    await asyncio.to_thread(git, tmp_path, "init", "-q")
    assert await git_revision(script, reaper) == ""  # nothing is committed yet
    await asyncio.to_thread(git, tmp_path, "add", "script.py")
    await asyncio.to_thread(git, tmp_path, "commit", "-qm", "x")
    revision = (await asyncio.to_thread(git, tmp_path, "rev-parse", "HEAD"))[:8]
    assert await git_revision(script, reaper) == revision
    script.write_text("b")
    assert await git_revision(script, reaper) == revision + "+"


async def test_no_revision_outside_git(tmp_path: Path, reaper: Reaper) -> None:
    """A script outside any repository has none."""
    assert await git_revision(tmp_path / "script.py", reaper) == ""


async def test_no_revision_without_git(
    tmp_path: Path, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without git there is none either."""
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    assert await git_revision(tmp_path / "script.py", reaper) == ""


def test_status_of_a_script_that_git_does_not_know() -> None:
    """A file that was never added is not what the revision says."""
    assert parse_status(b"# branch.oid 0123456789ab\n# branch.head main\n? s.py\n") == "01234567+"


async def test_a_look_is_done_when_the_readings_are_current(tmp_path: Path, reaper: Reaper) -> None:
    """Every look that was asked for ends, also where the worker leaves out all but the last."""
    script, worker = tmp_path / "script.py", Worker()
    script.write_text("a")
    readings: dict[str, object] = {}

    def publish(name: str, value: object, _severity: int = 0) -> None:
        readings[name] = value

    file = ScriptFile("X", script, worker=worker, reaper=reaper, publish=publish)
    file.runs(hashlib.sha256(b"a").hexdigest())
    async with asyncio.timeout(60):
        await file.look()
        assert readings["SCRIPT:CHANGED"] == 0
        script.write_text("bb")
        looks = [file.look() for _ in range(20)]
        await looks[0]
        assert readings["SCRIPT:CHANGED"] == 1
        await asyncio.gather(*looks)
    worker.close(10)
