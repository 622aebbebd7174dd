"""A run's processes on Linux: wrappers, groups, sessions, daemons that hide, signals, descriptors.

test_everywhere.py has what is the same on every system.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from bgrscrpt_ioc.host.posix.oom import OutOfMemory
from bgrscrpt_ioc.lifecycle.events import Sign
from bgrscrpt_ioc.process.messages import Said
from tests.process.scripts import DAEMON, DEADLINE, Runner, alive


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


async def test_interrupt_reaches_a_script_behind_a_wrapper(script: Path, runner: Runner) -> None:
    """Where `python` is a shell script that waits, SIGINT goes to the Python behind it."""
    wrapper = script.with_name("python")
    wrapper.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    wrapper.chmod(0o755)
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    process, heard = runner.launch(script, str(wrapper))
    await heard.until_printed(b"up\n")
    assert process.script_pid != process.pid
    process.send(Sign.INTERRUPT)
    await heard.until("has_exited")
    assert b"KeyboardInterrupt" in heard.text


async def test_terminate_reaches_the_children(script: Path, runner: Runner) -> None:
    """SIGTERM goes to the whole group."""
    script.write_text(
        "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
        "print(child.pid, flush=True)\nchild.wait()\n"
    )
    process, heard = runner.launch(script)
    await heard.until_printed(b"\n")
    process.send(Sign.TERMINATE)
    await heard.until("is_cleared")
    assert (heard.reason, heard.survivors) == ("SIGTERM", 0)
    assert not alive(int(heard.text))


async def test_a_daemon_that_hides(script: Path, runner: Runner) -> None:
    """A daemon that was seen once is found again, though its environment tells nothing."""
    hidden = """
        while not os.path.exists("seen"):
            time.sleep(0.01)
        os.execve("/bin/sh", ["sh", "-c", "echo hidden; sleep 1000"], {})"""
    script.write_text(DAEMON.replace("        time.sleep(1000)", hidden) + "time.sleep(1000)\n")
    process, heard = runner.launch(script)
    await heard.until_printed(b"\n")
    daemon = int(heard.text.split()[1])
    assert daemon in process.tree()
    (script.parent / "seen").touch()
    await heard.until_printed(b"hidden\n")
    process.send(Sign.KILL)
    await heard.until("is_cleared")
    assert not alive(daemon)


HIDDEN = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sh", ["sh", "-c", "echo $$; sleep 1000"], {})
    os._exit(0)
os.wait()
time.sleep(1000)
"""


async def test_daemons_that_nobody_has_seen(script: Path, runner: Runner) -> None:
    """Out of session, environment and parent before anybody looked: each goes with its own run."""
    script.write_text(HIDDEN)
    first, heard = runner.launch(script)
    second, other = runner.launch(script)
    await heard.until_printed(b"\n")
    await other.until_printed(b"\n")
    first.send(Sign.KILL)
    await heard.until("is_cleared")
    assert not alive(int(heard.text))
    assert alive(int(other.text))
    assert int(other.text) in second.tree()


async def test_a_fork_bomb(script: Path, runner: Runner) -> None:
    """What forks faster than it can be killed is stopped first, and then killed whole."""
    bomb = """
import os, time
print("tick", flush=True)
os.environ.clear()
end = time.monotonic() + 30
forks = os.open("forks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while time.monotonic() < end:
    if os.fstat(forks).st_size < 100 and os.write(forks, b"x") and os.fork() == 0:
        os.setsid()
    time.sleep(0.0001)
"""
    script.write_text(bomb)
    process, heard = runner.launch(script)
    await heard.until_printed(b"tick")
    async with asyncio.timeout(DEADLINE):
        while len(process.tree()) < 20:
            await asyncio.sleep(0)
    process.send(Sign.KILL)
    await heard.until("is_cleared")
    assert process.tree() == {}


async def test_helpers_that_end_by_themselves_are_no_survivors(
    script: Path, runner: Runner
) -> None:
    """What ends a moment after the script (multiprocessing's tracker does) is waited for."""
    script.write_text("import subprocess\nsubprocess.Popen(['sleep', '0.05'])\n")
    heard = await runner.run(script)
    assert (heard.code, heard.survivors) == (0, 0)


async def test_a_forger_is_no_script(script: Path, runner: Runner) -> None:
    """A `began` that names a process outside the tree does not turn signals there."""
    script.write_text(
        "import os, time\nimport bgrscrpt\n"
        'bgrscrpt._send(\'{"kind":"began","pid":1,"sha256":"","python":"",'
        '"executable":""}\')\nprint(\'up\', flush=True)\ntime.sleep(1000)\n'
    )
    process, heard = runner.launch(script)
    await heard.until_printed(b"up\n")
    assert process.script_pid == process.pid


async def test_a_stop_before_the_script_begins(script: Path, runner: Runner) -> None:
    """Stopped while it is still compiled, it ends at once, and without a traceback of ours."""
    script.write_text("(" * 50 + "[1]\n" * 2_000_000)  # read at once, compiled for seconds
    process, heard = runner.launch(script)
    async with asyncio.timeout(DEADLINE):
        while reads_until_now(process.pid) < script.stat().st_size:
            await asyncio.sleep(0.001)
    process.send(Sign.INTERRUPT)
    await heard.until("has_exited")
    assert (heard.reason, heard.text, heard.messages) == ("SIGINT", b"", [])


def reads_until_now(pid: int) -> int:
    """How many bytes a process has read since its start."""
    io = Path(f"/proc/{pid}/io").read_text()
    return int(io.partition("rchar: ")[2].split()[0])


async def test_signals_that_the_ioc_ignores(script: Path, runner: Runner) -> None:
    """Started by `nohup` or by a shell's `&`, an IOC still gives its scripts default handlers."""
    script.write_text(
        "import signal\nprint([int(n) for n in signal.valid_signals() - {9, 19, 32, 33}"
        " if signal.getsignal(n) == signal.SIG_IGN])\n"
    )
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        _, heard = runner.launch(script)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    await heard.until("has_exited")
    assert heard.text.decode() == f"{[int(signal.SIGPIPE), int(signal.SIGXFSZ)]}\n"


async def test_shared_memory_is_freed(script: Path, runner: Runner) -> None:
    """Killed by force, a script leaves no shared memory: multiprocessing's tracker ends last."""
    script.write_text(
        "import time\nfrom pathlib import Path\n"
        "from multiprocessing import resource_tracker, shared_memory\n"
        "segment = shared_memory.SharedMemory(create=True, size=1000)\n"
        "tracker = Path('/proc', str(resource_tracker._resource_tracker._pid))\n"
        "while (b'resource_tracker' not in (tracker / 'cmdline').read_bytes()\n"
        "       or ') S ' not in (tracker / 'stat').read_text()):\n"
        "    time.sleep(0.01)  # it starts: nobody could tell it from another process\n"
        "print(segment.name, flush=True)\ntime.sleep(1000)\n"
    )
    process, heard = runner.launch(script)
    await heard.until_printed(b"\n")
    segment = Path("/dev/shm", heard.text.decode().strip())  # noqa: S108 - where the kernel has it
    assert segment.exists()
    process.send(Sign.KILL)
    await heard.until("is_cleared")
    assert not segment.exists()


async def test_a_launch_that_goes_wrong(
    script: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours after the launch leaves no process and no descriptor."""

    def fault(*_: object) -> None:
        raise RuntimeError("injected")

    script.write_text("import time\ntime.sleep(1000)\n")
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of this moment
    monkeypatch.setattr(runner.reaper, "watch", fault)
    with pytest.raises(RuntimeError, match="injected"):
        runner.launch(script)
    runner.reaper.reap()
    assert psutil.Process().children() == []
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


def test_out_of_memory_is_said_of_a_kill_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count of kills that rose long ago says nothing; one that rose just now, of one death."""
    kills = [3]
    monkeypatch.setattr("bgrscrpt_ioc.host.posix.oom.out_of_memory_kills", lambda: kills[0])
    memory = OutOfMemory(apart=0.0)
    assert not memory.killed_one()  # nobody has looked
    memory.look()
    kills[0] = 4  # some other process, long ago
    memory.look()
    memory.look()
    assert not memory.killed_one()
    kills[0] = 5
    assert memory.killed_one()
    assert not memory.killed_one()  # one kill is one death
    stale = OutOfMemory(fresh=0.0)
    stale.look()
    kills[0] = 6
    assert not stale.killed_one()


async def test_few_descriptors(script: Path, runner: Runner) -> None:
    """With a `ulimit -n` below the channel's usual place it gets another."""
    wrapper = script.with_name("python")
    wrapper.write_text(f'#!/bin/sh\nulimit -n 64\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    script.write_text("import bgrscrpt\nbgrscrpt.message('x')\nprint('fine')\n")
    heard = await runner.run(script, str(wrapper))
    assert heard.text == b"fine\n"
    assert Said("x") in heard.messages
