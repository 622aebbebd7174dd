"""`import bgrscrpt`: what a script says arrives, and saying it never hurts the script."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrscrpt_ioc.child import bgrscrpt
from bgrscrpt_ioc.process.frames import MessageReader
from bgrscrpt_ioc.process.messages import (
    Alive,
    Message,
    Progressed,
    Refused,
    Said,
    ScriptBegan,
)
from bgrscrpt_ioc.process.order import BOOTSTRAP
from tests.process.scripts import DEADLINE, Runner, interpreters

SUPPORTED = {version: path for version, path in interpreters().items() if version >= (3, 8)}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def said(messages: list[Message]) -> list[Message]:
    return [each for each in messages if not isinstance(each, ScriptBegan)]


async def test_what_is_said_arrives(script: Path, runner: Runner) -> None:
    """Counts, texts of any length and alphabet, and percents; of each kind the newest at least."""
    script.write_text(
        "import bgrscrpt\nbgrscrpt.alive()\nbgrscrpt.alive()\nbgrscrpt.message('x')\n"
        "bgrscrpt.message('Ж' * 5000)\nbgrscrpt.progress(-1)\nbgrscrpt.progress(1e9)\n"
        "import time\ntime.sleep(0.3)\n"
        "bgrscrpt.message(ValueError('x'))\nbgrscrpt.progress(33.5)\n"
    )
    heard = await runner.run(script)
    found = said(heard.messages)
    for each in Alive(2), Said("Ж" * 1000), Progressed(100.0):
        assert each in found
    assert found[-2:] == [Said("x"), Progressed(33.5)]


FLOOD = """
import bgrscrpt, os, sys, threading, time, warnings
warnings.simplefilter("error")
end = time.monotonic() + 0.5
calls = 0
while time.monotonic() < end or calls < 100:
    calls += 1
    bgrscrpt.alive(); bgrscrpt.message("number %d" % calls); bgrscrpt.progress(calls % 100)
    if calls == 100 and os.fork() == 0:
        bgrscrpt.message("the child")
        os._exit(0)
os.wait()
bgrscrpt.message("the last")
END
"""


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("end", ["time.sleep(2); os._exit(0)", "print('end')"], ids=str.split)
async def test_a_fast_loop_says_the_newest(
    script: Path, runner: Runner, end: str, version: tuple[int, int]
) -> None:
    """Calls without end become a few messages; the last arrives, and a fork is as it was."""
    script.write_text(FLOOD.replace("END", end))
    heard = await runner.run(script, SUPPORTED[version])
    assert heard.code == 0, heard.text
    texts = [each.text for each in heard.messages if isinstance(each, Said)]
    assert texts[-1] == "the last"
    assert "the child" in texts
    beats = [each.count for each in heard.messages if isinstance(each, Alive)]
    assert len(beats) < 60
    assert beats == sorted(beats)


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


def test_server_common_by_hand(tmp_path: Path) -> None:
    """`python -m bgrscrpt script.py` has `server_common`, and what is beside the script."""
    (tmp_path / "beside.py").write_text("VALUE = 5\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, beside, bgrscrpt\nfrom server_common.helpers import register_ioc_start\n"
        "bgrscrpt.alive()\ntold = register_ioc_start('X', {})\n"
        "print(told, beside.VALUE, sys.argv[1:], __name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "bgrscrpt", str(script), "an arg"], capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"None 5 ['an arg'] __main__\n", b"")


async def test_an_ioc_that_does_not_listen(script: Path, runner: Runner) -> None:
    """With the pipe full `alive` drops and returns: a script is never held up by its IOC."""
    # Stopped, so that nobody reads: the script says when it is done, by a file.
    script.write_text(
        "import bgrscrpt\nfor _ in range(100000):\n    bgrscrpt.alive()\nopen('done', 'w')\n"
    )
    process, heard = runner.launch(script)
    tree: Any = process._tree
    tree._pipes[0]._behind = lambda: True  # this end of the message channel is not read
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


class Odd:
    """An object that raises whatever is asked of it."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error("no text")

    __repr__ = __bytes__ = __str__

    def __float__(self) -> float:
        raise self.error("no number")

    def __getattr__(self, name: str) -> object:
        raise self.error(name)

    def __iter__(self) -> Iterator[object]:
        raise self.error("no parts")


class OddText(str):
    """A text that cannot be cut, and shows itself otherwise than it is."""

    def __str__(self) -> str:
        return self

    def __getitem__(self, _index: object) -> str:
        raise LookupError("no part")


ERRORS = st.sampled_from([ValueError, KeyError, RecursionError, MemoryError, AttributeError])
ODD = st.builds(Odd, ERRORS) | st.builds(OddText, st.text())
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.complex_numbers()
TEXTS = st.text(st.characters()) | st.text().map(lambda text: text * 500)
ANY = st.recursive(
    ODD | PLAIN | TEXTS | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(value=ANY)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_raises_for_its_argument(listening: int, value: Any) -> None:
    """Whatever a function is given, it returns, and what it sends is a message."""
    bgrscrpt.message(value)
    bgrscrpt.progress(value)
    bgrscrpt._register_ioc_start(value, value, value)
    bgrscrpt.alive()  # so that there is something to read
    for message in MessageReader().feed(os.read(listening, 1 << 20)):
        if isinstance(message, Refused):  # a call of another kind, or too long
            assert "register" in message.why or "KiB" in message.why


@pytest.mark.parametrize(
    ("value", "percent"),
    [(-1, 0.0), ("42", 42.0), (float("inf"), 100.0), (float("-inf"), 0.0), (True, 1.0)],
)
def test_percents(listening: int, value: Any, percent: float) -> None:
    """What is a number is one, and stays from 0 to 100."""
    bgrscrpt.progress(value)
    assert list(MessageReader().feed(os.read(listening, 4096))) == [Progressed(percent)]


@pytest.mark.parametrize("value", [None, "a", float("nan"), 10**400, [], b""])
def test_what_is_no_percentage(listening: int, value: Any) -> None:
    """What is no number changes nothing."""
    bgrscrpt.progress(value)
    bgrscrpt.message("next")
    assert list(MessageReader().feed(os.read(listening, 4096))) == [Said("next")]


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """This process is the script; the reading end of its channel."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    import fcntl  # not at the top: Windows has none

    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
    monkeypatch.setattr(bgrscrpt, "_PATIENCE", 0.02)
    monkeypatch.setattr(bgrscrpt, "_PACE", 0.0)  # each is sent
    monkeypatch.setattr(bgrscrpt, "_pace", None)
    bgrscrpt._open(writing, os.getpid(), writing, "/script.py")
    yield reading
    monkeypatch.setattr(bgrscrpt, "_channel", None)
    os.close(reading)
    os.close(writing)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """This process is the script, on a channel of one page; its reading end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    import fcntl  # as above

    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr(bgrscrpt, "_PATIENCE", 0.02)
    monkeypatch.setattr(bgrscrpt, "_PACE", 0.0)  # each is sent
    monkeypatch.setattr(bgrscrpt, "_pace", None)
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
    waits, done = threading.Event(), threading.Event()

    def wait() -> None:
        with bgrscrpt._lock:
            waits.set()
            done.wait(DEADLINE)

    other = threading.Thread(target=wait)
    other.start()
    waits.wait()
    begin = time.monotonic()
    bgrscrpt.alive()
    took = time.monotonic() - begin
    done.set()
    other.join()
    assert took < DEADLINE / 2
    with pytest.raises(BlockingIOError):
        os.read(narrow, 1)
