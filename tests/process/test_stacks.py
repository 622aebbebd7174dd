"""The stacks of a run's threads: whatever the threads do, and the script feels nothing of it."""

from __future__ import annotations

import asyncio
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bgrscrpt_ioc.host.contract import Dump
from bgrscrpt_ioc.host.posix import stacks
from bgrscrpt_ioc.host.system import take_stacks
from bgrscrpt_ioc.process.order import BOOTSTRAP
from bgrscrpt_ioc.process.process import ScriptProcess
from bgrscrpt_ioc.process.stacks import stacks_text
from tests.process.scripts import DEADLINE, Heard, Runner, interpreters

ALL = {version: path for version, path in interpreters().items() if version >= (3, 8)}
UP = "import sys; sys.stdout.write('up\\n')\n"
Ask = Callable[..., Awaitable[list[Dump]]]

WORKER = """
import threading, time
def hold():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
def sleep():
    time.sleep(1000)
"""
# What the main thread does, and the line of it that must be in the stacks.
HANGS = {
    "sleep": ("def hang():\n    time.sleep(1000)\n", "line 2 in hang"),
    "a lock": (
        "def hang():\n    lock = threading.Lock()\n    with lock, lock:\n        pass\n",
        "",
    ),
    "C code that holds the GIL": (
        # Again and again: C's own sleep ends at a signal, and the first look may come too early.
        "def hang():\n    import ctypes\n    while True: ctypes.PyDLL(None).sleep(1000)\n",
        "line 3 in hang",
    ),
    "a loop": ("def hang():\n    while True:\n        pass\n", " in hang"),
    "a loop in C": (
        "import re\ndef hang():\n    re.match('(a+)+b', 'a' * 50)\n",
        "line 3 in hang",
    ),
    "deep recursion": (
        "def hang(depth=0):\n    return hang(depth + 1) if depth < 900 else time.sleep(1000)\n",
        " in hang",
    ),
}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


@pytest.fixture
def ask() -> Ask:
    """Asks a run for its stacks, in a thread, as the IOC does."""

    async def _ask(process: ScriptProcess, patience: float = DEADLINE) -> list[Dump]:
        others = sorted(process.tree().keys() - {process.pid})
        return await asyncio.to_thread(take_stacks, process.script_pid, others, patience)

    return _ask


async def up(runner: Runner, script: Path, text: str, python: str = sys.executable) -> Started:
    """Run this until it says that it is up."""
    script.write_text(text)
    process, heard = runner.launch(script, python)
    await heard.until_printed(b"up\n")
    return process, heard


Started = tuple[ScriptProcess, Heard]


def shown(dumps: list[Dump]) -> str:
    return stacks_text(dumps, str(BOOTSTRAP.parent), "head", 16000)


@pytest.mark.parametrize("version", ALL, ids=str)
async def test_with_every_python(
    version: tuple[int, int], script: Path, runner: Runner, ask: Ask
) -> None:
    """Both a thread that waits for a lock and the main thread in C tell where they are."""
    text = WORKER + UP + "threading.Thread(target=hold, daemon=True).start()\nsleep()\n"
    process, heard = await up(runner, script, text, ALL[version])
    deadline = time.monotonic() + DEADLINE
    while "in sleep" not in (told := shown(await ask(process))):
        assert time.monotonic() < deadline, told
    assert f'  File "{script}", line 6 in hold\n' in told
    assert f'  File "{script}", line 8 in sleep\n  File "{script}", line 11 in <module>' in told
    assert str(BOOTSTRAP.parent) not in told
    assert heard.text == b"up\n"


@pytest.mark.parametrize("name", HANGS)
async def test_wherever_it_hangs(name: str, script: Path, runner: Runner, ask: Ask) -> None:
    """The main thread tells its line, in whatever it hangs."""
    text, line = HANGS[name]
    process, _ = await up(runner, script, f"import sys, threading, time\n{UP}hang()\n".replace(
        "hang()", f"exec(compile({text!r}, 'hung.py', 'exec'))\nhang()"))  # fmt: skip
    deadline = time.monotonic() + DEADLINE
    while line not in (told := shown(await ask(process))) or " in hang" not in told:
        assert time.monotonic() < deadline, told
    if name == "deep recursion":
        assert told.count(" in hang") == 100  # faulthandler's most
        # Python 3.13 writes no mark there.
        assert told.endswith("  ...\n") or sys.version_info >= (3, 13)


async def test_five_hundred_threads(script: Path, runner: Runner, ask: Ask) -> None:
    """The stacks of many threads are cut by faulthandler, at 100 threads, and by us, at 16000."""
    text = WORKER + (
        "threading.stack_size(65536)\n"
        "for _ in range(500):\n    threading.Thread(target=sleep, daemon=True).start()\n"
    )
    process, _ = await up(runner, script, text + UP + "sleep()\n")
    (dump,) = await ask(process)
    assert dump.text.count(b"Thread 0x") == 100
    told = shown([dump])
    assert 15000 < len(told.encode()) <= 16000
    assert "lines left out" in told


async def test_children_of_multiprocessing(script: Path, runner: Runner, ask: Ask) -> None:
    """Children tell theirs too, forked or not; a program, which the signal would end, has none."""
    text = WORKER + (
        "import multiprocessing, subprocess, sys\n"
        "def child(queue):\n    queue.put(1)\n    hold()\n"
        "if __name__ == '__main__':\n"
        "    program = subprocess.Popen(['sleep', '1000'])\n"
        "    for way in 'fork', 'spawn':\n"
        "        context = multiprocessing.get_context(way)\n"
        "        queue = context.Queue()\n"
        "        context.Process(target=child, args=(queue,), daemon=True).start()\n"
        "        queue.get()\n"
        "    time.sleep(0.3)\n"  # as old as they must be
        "    sys.stdout.write('up\\n')\n    print(program.wait())\n"
    )
    process, heard = await up(runner, script, text)
    dumps = await ask(process)
    assert [dump.problem for dump in dumps] == [""] * 3
    assert shown(dumps).count(f'  File "{script}", line 6 in hold\n') == 2
    assert ", a child:\n" in shown(dumps)
    assert heard.text == b"up\n"  # `sleep` lives


async def test_no_system_call_is_felt_to_be_interrupted(
    script: Path, runner: Runner, ask: Ask
) -> None:
    """A read that C code waits in, one of Python, and a sleep go on; stdin of children, too."""
    text = (
        "import ctypes, os, threading, time\n"
        "reading, writing = os.pipe()\n"
        "again, to_again = os.pipe()\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def wait():\n"
        "    buffer = ctypes.create_string_buffer(8)\n"
        "    print('C', libc.read(reading, buffer, 8), ctypes.get_errno(), buffer.value)\n"
        "    print('Python', os.read(again, 8))\n"
        "    begun = time.monotonic()\n"
        "    time.sleep(0.5)\n"
        "    print('slept', time.monotonic() - begun >= 0.5)\n"
        "import sys\n"
        "def feed():\n"
        "    for end in writing, to_again:\n"
        "        while not os.path.exists('go'): time.sleep(0.01)\n"
        "        os.remove('go')\n"
        "        os.write(end, b'bytes')\n"
        "threading.Thread(target=feed, daemon=True).start()\n"
    )
    process, heard = await up(runner, script, text + UP + "wait()\n")
    for printed in (b"C 5 0 b'bytes'\n", b"Python b'bytes'\n"):
        for _ in range(3):
            assert (await ask(process))[0].text
        (script.parent / "go").touch()
        await heard.until_printed(printed)
    for _ in range(3):
        await ask(process)
    await heard.until("has_exited")
    assert heard.text.endswith(b"slept True\n")
    assert heard.code == 0


REFUSALS = {
    "all descriptors closed": ("os.closerange(3, 4096)", "it has closed descriptor 202"),
    "all signals blocked": (
        "signal.pthread_sigmask(signal.SIG_SETMASK, range(1, 65))",
        "all its threads block signal 54 (its threads: 1 waiting)",
    ),
    "the handler removed": (
        "faulthandler.unregister(54)",
        "it does not take signal 54: it is no Python, or has not begun, or",
    ),
    "another handler": (
        "signal.signal(54, lambda *_: print('mine', flush=True))",
        "it did not answer in time (its threads: 1 waiting), or has another handler of signal 54",
    ),
}


@pytest.mark.parametrize("how", REFUSALS)
async def test_who_does_not_answer(how: str, script: Path, runner: Runner, ask: Ask) -> None:
    """A script that makes it impossible runs on, and the IOC says why there are no stacks."""
    line, problem = REFUSALS[how]
    text = f"import faulthandler, os, signal, time\n{line}\n{UP}time.sleep(1000)\n"
    process, heard = await up(runner, script, text)
    (dump,) = await ask(process, 0.5)
    assert not dump.text
    assert dump.problem.startswith(problem)
    assert heard.code is None
    if how == "another handler":  # the script's wins
        await heard.until_printed(b"mine\n")


async def test_a_stopped_process(script: Path, runner: Runner, ask: Ask) -> None:
    """A process that is stopped does not answer in time; once it goes on, it answers again."""
    process, _ = await up(runner, script, f"import time\n{UP}time.sleep(1000)\n")
    os.kill(process.pid, signal.SIGSTOP)
    for _ in range(2):  # the second asks for nothing more
        (dump,) = await ask(process, 0.3)
        assert dump.problem.startswith("it did not answer in time (its threads: 1 stopped by")
    os.kill(process.pid, signal.SIGCONT)
    (dump,) = await ask(process)
    assert dump.text.count(b"Current thread") == 1


async def test_what_a_script_writes_there(script: Path, runner: Runner, ask: Ask) -> None:
    """A script that writes to the file of its stacks spoils nothing but its own text."""
    text = (
        "import os, threading, time\n"
        "os.write(202, b'x' * 5_000_000 + b'\\x1b[2J')\n"
        "def write():\n    while True: os.write(202, b'y\\x1b\\n'); time.sleep(0.001)\n"
        "threading.Thread(target=write, daemon=True).start()\n"
    )
    process, _ = await up(runner, script, text + UP + "time.sleep(1000)\n")
    (dump,) = await ask(process)
    told = shown([dump])
    assert f'  File "{script}", line ' in told
    assert "xxx" not in told
    assert "\x1b" not in told


async def test_a_process_that_is_gone(script: Path, runner: Runner) -> None:
    """Of a process that has ended there are no stacks."""
    heard = await runner.run(_written(script, ""))
    assert heard.code == 0
    (dump,) = take_stacks(2**22, [], 1.0)
    assert dump == Dump(2**22, problem="it has ended")


def _written(script: Path, text: str) -> Path:
    script.write_text(text)
    return script


@pytest.mark.parametrize("version", ALL, ids=str)
def test_a_python_without_memfd_create(version: tuple[int, int]) -> None:
    """A Python that was built for an old libc, as conda's are, makes the file by libc itself."""
    code = (
        "import os, sys\n"
        "if hasattr(os, 'memfd_create'): del os.memfd_create\n"
        f"sys.path.insert(0, {str(BOOTSTRAP.parent)!r})\n"
        "import _bgrscrpt_stack\nfile = _bgrscrpt_stack.open_file()\n"
        "print(file, os.readlink('/proc/self/fd/%d' % file), os.write(file, b'text'))\n"
    )
    told = subprocess.run([ALL[version], "-I", "-c", code], capture_output=True, check=True)
    assert told.stdout.decode() == f"{stacks.USUAL} {stacks.LINK} 4\n"


def test_both_sides_agree() -> None:
    """The signal and the descriptor are the same in the script's interpreter and in the IOC."""
    sys.path.insert(0, str(BOOTSTRAP.parent))
    try:
        theirs = runpy.run_path(str(BOOTSTRAP.with_name("_bgrscrpt_stack.py")))
    finally:
        del sys.path[0]
    assert (theirs["STACKS_SIGNAL"], theirs["STACKS_AT"]) == (stacks.SIGNAL, stacks.USUAL)
    assert f"/memfd:{theirs['NAME']} (deleted)" == stacks.LINK
