"""The guardian does nothing until the IOC is gone, and then kills all of its scripts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bgrscrpt_ioc.host.posix.guardian import PROGRAM, Guardian
from bgrscrpt_ioc.host.posix.mark import inherited, mark_of
from bgrscrpt_ioc.host.system import Reaper
from tests.process.scripts import alive

MARK = f"BGRSCRPT_RUN=test{os.getpid()}.1/"
SLEEPER = "import os; print(os.getpid(), flush=True); input()"


class Sleeper:
    """A process that waits; with `leads`, the leader of a session of its own."""

    def __init__(self, stack: ExitStack, cookie: str = "", *, leads: bool = False) -> None:
        environ = dict(os.environ)
        if cookie:
            name, _, value = cookie.partition("=")
            environ[name] = value
        self.process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", SLEEPER],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=leads,
            )
        )
        stack.callback(self.process.kill)
        assert self.process.stdout is not None
        assert int(self.process.stdout.readline()) == self.process.pid


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_it_kills_what_it_was_told_of_and_what_is_marked(stack: ExitStack) -> None:
    """Open sessions and marked processes die; closed sessions and others' processes do not."""
    told = Sleeper(stack, leads=True)
    closed = Sleeper(stack, leads=True)
    marked = Sleeper(stack, MARK + "5064/X/1")
    other = Sleeper(stack, MARK.replace(".1/", ".2/") + "5064/X/1")
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAM), MARK], stdin=subprocess.PIPE
    )
    lines = f"+{told.process.pid} 7\n+{closed.process.pid} 8\n-{closed.process.pid}\n"
    guardian.communicate(lines.encode(), timeout=30)
    assert guardian.returncode == 0
    assert told.process.wait(30) == marked.process.wait(30) == -9
    assert alive(closed.process.pid)
    assert alive(other.process.pid)


def test_it_kills_what_has_inherited_a_mark(stack: ExitStack) -> None:
    """A process outside our sessions, without our cookie, is known by its inherited mark."""
    mark = mark_of(f"test{os.getpid()}/X/1")
    leader = Sleeper(stack, leads=True)
    with inherited(mark):
        hidden = Sleeper(stack, leads=True)
    other = Sleeper(stack, leads=True)
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAM), MARK], stdin=subprocess.PIPE
    )
    guardian.communicate(f"+{leader.process.pid} {mark}\n".encode(), timeout=30)
    assert (guardian.returncode, hidden.process.wait(30)) == (0, -9)
    assert alive(other.process.pid)


def test_it_ends_control_groups_that_came_later(tmp_path: Path) -> None:
    """A group that it is told of is removed as those are that it was started with."""
    groups = [tmp_path / "first one", tmp_path / "later one"]
    for group in groups:
        group.mkdir()
    guardian = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), MARK, str(groups[0])],
        input=f"={groups[1]}\n".encode(),
        timeout=30,
        check=False,
    )
    assert guardian.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_it_ends_when_there_is_nothing_to_kill() -> None:
    """After an IOC that ended normally the guardian ends and kills nothing."""
    guardian = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), MARK], input=b"", timeout=30, check=False
    )
    assert guardian.returncode == 0


def test_it_outlives_the_signals_that_end_the_ioc(stack: ExitStack) -> None:
    """SIGINT, SIGTERM and SIGHUP, which may be sent to all processes, do not stop it."""
    told = Sleeper(stack, leads=True)
    guardian = stack.enter_context(
        subprocess.Popen([sys.executable, "-I", "-S", str(PROGRAM), MARK], stdin=subprocess.PIPE)
    )
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while not ignores(guardian.pid, numbers) and time.monotonic() < deadline:
        time.sleep(0.005)
    for number in numbers:
        guardian.send_signal(number)
    guardian.communicate(f"+{told.process.pid} 7\n".encode(), timeout=30)
    assert (guardian.returncode, told.process.wait(30)) == (0, -9)


def ignores(pid: int, numbers: tuple[int, ...]) -> bool:
    """Return whether a process ignores all these signals."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(status.partition("SigIgn:")[2].split()[0], 16)
    return all(mask >> (number - 1) & 1 for number in numbers)


async def test_it_is_started_again_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """A guardian that has lived for a while is replaced at once; the new one is told the same."""
    reaper = Reaper()
    reaper.start()
    guardian = Guardian(reaper, f"test{os.getpid()}.3")
    with ExitStack() as stack:
        told = Sleeper(stack, leads=True)
        guardian.start()
        guardian.open(told.process.pid, 7)
        first = guardian.pid
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(30):
            while guardian.pid == first:
                await asyncio.sleep(0.01)
        assert "starting it again" in caplog.text
        ended = asyncio.get_running_loop().create_future()
        reaper.watch(told.process.pid, ended.set_result)
        guardian.stop()
        async with asyncio.timeout(30):
            assert await ended == signal.SIGKILL
        told.process.returncode = -9  # reaped by the Reaper, not by Popen
    reaper.stop()
