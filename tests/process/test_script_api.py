"""`import bgrscrpt`: what a script says arrives, and saying it never hurts the script."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrscrpt_ioc.child import bgrscrpt
from bgrscrpt_ioc.launch import BOOTSTRAP
from bgrscrpt_ioc.messages import (
    Alive,
    Message,
    MessageReader,
    Progressed,
    Refused,
    Said,
    ScriptBegan,
)
from tests.process.scripts import DEADLINE, Runner


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def said(messages: list[Message]) -> list[Message]:
    return [each for each in messages if not isinstance(each, ScriptBegan)]


async def test_what_is_said_arrives(script: Path, runner: Runner) -> None:
    """Counts, texts of any length and alphabet, and percents, clamped."""
    script.write_text(
        "import bgrscrpt\nbgrscrpt.alive()\nbgrscrpt.alive()\nbgrscrpt.message('Ж' * 5000)\n"
        "bgrscrpt.message(ValueError('x'))\nbgrscrpt.progress(-1)\nbgrscrpt.progress(33.5)\n"
        "bgrscrpt.progress(1e9)\n"
    )
    heard = await runner.run(script)
    expected: list[Message] = [Alive(1), Alive(2), Said("Ж" * 1000), Said("x")]
    expected += [Progressed(0.0), Progressed(33.5), Progressed(100.0)]
    assert said(heard.messages) == expected


async def test_many_at_once(script: Path, runner: Runner) -> None:
    """Threads and forked children on the one pipe: every message is whole."""
    script.write_text(
        "import bgrscrpt, os, threading\n"
        "def talk():\n    for _ in range(50):\n        bgrscrpt.message('x' * 900)\n"
        "children = []\n"
        "for _ in range(3):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n        talk(); os._exit(0)\n"
        "    children.append(pid)\n"
        "threads = [threading.Thread(target=talk) for _ in range(3)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\n"
        "for pid in children: os.waitpid(pid, 0)\n"
    )
    heard = await runner.run(script)
    assert set(map(str, said(heard.messages))) == {str(Said("x" * 900))}


async def test_long_messages_are_not_mixed(script: Path, runner: Runner) -> None:
    """A message of many frames arrives whole while others are sent."""
    script.write_text(
        "import bgrscrpt, threading\n"
        "from server_common.helpers import register_ioc_start\n"
        "pvs = {'PV%d' % n: {'description': 'd' * 100} for n in range(200)}\n"
        "work = lambda: [register_ioc_start('X', pvs) for _ in range(5)]\n"
        "threads = [threading.Thread(target=work) for _ in range(3)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\n"
    )
    heard = await runner.run(script)
    assert len(said(heard.messages)) == 15
    assert all(len(getattr(each, "pv_database", ())) == 200 for each in said(heard.messages))


def test_without_the_ioc(tmp_path: Path) -> None:
    """By hand the same script runs, and says nothing to anybody."""
    script = tmp_path / "script.py"
    script.write_text(
        "import bgrscrpt\nbgrscrpt.alive()\nbgrscrpt.message('x')\nbgrscrpt.progress(5)\nprint(1)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(BOOTSTRAP.parent)},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"1\n", b"")


async def test_an_ioc_that_does_not_listen(script: Path, runner: Runner) -> None:
    """With the pipe full `alive` drops and returns: a script is never held up by its IOC."""
    # Stopped, so that nobody reads: the script says when it is done, by a file.
    script.write_text(
        "import bgrscrpt\nfor _ in range(100000):\n    bgrscrpt.alive()\nopen('done', 'w')\n"
    )
    process, heard = runner.launch(script)
    process._pipes[0]._behind = lambda: True  # this end of the message channel is not read
    await heard.until("has_exited")
    assert (script.parent / "done").exists()
    assert heard.code == 0


async def test_a_channel_that_the_script_has_closed(script: Path, runner: Runner) -> None:
    """After `os.closerange` nothing is written into files that got the same descriptors."""
    script.write_text(
        "import bgrscrpt, os\nos.closerange(3, 1024)\n"
        "files = [open('f%d' % n, 'w') for n in range(300)]\n"
        "bgrscrpt.alive()\nbgrscrpt.message('lost')\nprint('ok')\n"
    )
    heard = await runner.run(script)
    assert heard.text == b"ok\n"
    assert said(heard.messages) == []
    assert not any(path.stat().st_size for path in script.parent.glob("f*"))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """This process is the script, on a channel of one page; its reading end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr(bgrscrpt, "_PATIENCE", 0.02)
    bgrscrpt._open(writing, os.getpid(), writing, "/script.py")
    yield reading
    monkeypatch.setattr(bgrscrpt, "_channel", None)
    os.close(reading)
    os.close(writing)


def test_a_message_that_was_cut_short(narrow: int) -> None:
    """What could be sent only in part is given up; the next message is whole."""
    bgrscrpt.message("Ж" * 1000)  # two frames, of which the pipe takes one
    reader = MessageReader()
    assert list(reader.feed(os.read(narrow, 8192))) == []
    bgrscrpt.message("whole")
    kinds = list(reader.feed(os.read(narrow, 8192)))
    assert isinstance(kinds[0], Refused)
    assert kinds[1:] == [Said("whole")]


def test_a_full_channel_drops_and_goes_on(narrow: int) -> None:
    """A message that finds no room is gone, whole; the next that does arrives."""
    while bgrscrpt._send("{}"):
        pass
    bgrscrpt.message("lost")
    bgrscrpt.message("Ж" * 1000)
    os.read(narrow, 8192)
    bgrscrpt.message("heard")
    assert list(MessageReader().feed(os.read(narrow, 8192))) == [Said("heard")]


def test_another_thread_that_waits_for_room(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another thread waits for room `alive` gives up, and does not wait as long."""
    monkeypatch.setattr(bgrscrpt, "_PATIENCE", DEADLINE)
    begin = time.monotonic()
    with bgrscrpt._lock:  # as the other thread has it
        bgrscrpt.alive()
    assert time.monotonic() - begin < DEADLINE / 2
    with pytest.raises(BlockingIOError):
        os.read(narrow, 1)
