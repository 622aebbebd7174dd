"""A run's processes on every system: they are stopped, they are killed whole, no output is lost.

test_process.py has what only Linux has; tests/windows/inside/test_runs.py, what only Windows has.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from bgrscrpt_ioc.lifecycle.events import Sign
from tests.process.scripts import DAEMON, DEADLINE, Heard, Runner, alive

IS_WINDOWS = sys.platform == "win32"
MUCH = 3 * (1 << 18) + 17  # bytes: several times what is read at once
LATE = 3 if IS_WINDOWS else 0  # handles of threads that end a little later


def daemon_of(heard: Heard) -> int:
    """Return the pid that the daemon has printed."""
    return int(heard.text.partition(b"daemon ")[2].split()[0])


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


async def test_interrupt_lets_the_script_tidy_up(script: Path, runner: Runner) -> None:
    """A stop comes through out of `time.sleep`; `finally:` and `atexit` run."""
    script.write_text(
        "import atexit, time\natexit.register(print, 'atexit')\nprint('up', flush=True)\n"
        "try:\n    time.sleep(1000)\nfinally:\n    print('finally')\n"
    )
    process, heard = runner.launch(script)
    await heard.until_printed(b"up\n")
    process.send(Sign.INTERRUPT)
    await heard.until("has_exited")
    assert (heard.code, heard.reason) == (-2, "SIGINT")
    assert heard.text.index(b"finally\n") < heard.text.index(b"atexit\n")


async def test_a_script_can_handle_the_interrupt(script: Path, runner: Runner) -> None:
    """A handler of SIGINT is called, as often as the script is asked."""
    script.write_text(
        "import signal, time\nsignal.signal(signal.SIGINT, lambda *_: print('asked', flush=True))\n"
        "print('up', flush=True)\nwhile True: time.sleep(1000)\n"
    )
    process, heard = runner.launch(script)
    await heard.until_printed(b"up\n")
    process.send(Sign.INTERRUPT)
    await heard.until_printed(b"asked\n")
    process.send(Sign.INTERRUPT)
    await heard.until_printed(b"asked\nasked\n")


async def test_a_stop_after_a_standby(script: Path, runner: Runner) -> None:
    """An interpreter in standby runs the script when it is told, and obeys from then on."""
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    process, waiting = runner.launch(script, mode="standby")
    heard = Heard()
    process.go(heard)
    await heard.until_printed(b"up\n")
    process.send(Sign.INTERRUPT)
    await heard.until("is_cleared")
    assert heard.reason == "SIGINT"
    waiting.is_cleared = True  # what it waited for has become the run


async def test_kill_reaches_daemons(script: Path, runner: Runner) -> None:
    """A daemon is of the run, and is killed with it."""
    script.write_text(DAEMON + "time.sleep(1000)\n")
    process, heard = runner.launch(script)
    await heard.until_printed(b"\n")
    daemon = daemon_of(heard)
    async with asyncio.timeout(DEADLINE):
        # Not its parent, which ends; and on Windows no console.
        while process.tree().keys() != {process.pid, daemon}:
            await asyncio.sleep(0.01)
    process.send(Sign.KILL)
    await heard.until("is_cleared")
    assert (heard.code, heard.reason) == (-9, "SIGKILL (did not stop)")
    assert not alive(daemon)


async def test_survivors_do_not_hold_the_end(script: Path, runner: Runner) -> None:
    """The end is told with the daemon alive and holding the pipe; `cleared` when it is gone."""
    script.write_text(DAEMON + "import os\nos.write(1, b'end\\n')\nraise SystemExit(5)\n")
    process, heard = runner.launch(script)
    await heard.until_printed(b"daemon")
    await heard.until("has_exited")
    assert (heard.code, heard.survivors, heard.is_cleared) == (5, 1, False)
    assert b"end\n" in heard.text
    process.send(Sign.TERMINATE)
    await heard.until("is_cleared")


async def test_all_output_comes_before_the_end(script: Path, runner: Runner) -> None:
    """What the script wrote before it died is complete when its end is told, however much."""
    script.write_text(f"import os\nn = {MUCH}\nwhile n: n -= os.write(1, b'x' * n)\nos._exit(9)\n")
    heard = await runner.run(script)
    assert (heard.code, len(heard.text)) == (9, MUCH)


async def test_output_waits_while_the_reader_is_behind(script: Path, runner: Runner) -> None:
    """While the log is behind nothing is given on, and nothing is lost by it."""
    script.write_text("print('first', flush=True)\n")
    _, heard = runner.launch(script)
    heard.behind = True
    await heard.until("has_exited")  # what is there is taken at the end, all the same
    assert heard.text == b"first\n"


async def test_text_is_utf_8(script: Path, runner: Runner) -> None:
    """What the script and Python children of it print is UTF-8; the script's lines end with LF."""
    script.write_text(
        "import subprocess, sys\nprint('\\u00e9\\u4e2d', flush=True)\n"
        "print(sys.stdin.read() == '', flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'print(chr(0x4e2d))'])\n",
        encoding="utf-8",
    )
    heard = await runner.run(script)
    assert heard.text.decode() == f"é中\nTrue\n中{os.linesep}"


async def test_nothing_is_left_open(script: Path, runner: Runner) -> None:
    """After many runs there are no more descriptors or handles, and no zombies."""
    script.write_text("print('x')\n")
    own = psutil.Process()
    others = {*own.children()}  # of fixtures

    def count() -> int:
        return own.num_handles() if sys.platform == "win32" else own.num_fds()

    for _ in range(3):
        await runner.run(script)
    before = count()
    for _ in range(10):
        await runner.run(script)
    assert count() <= before + LATE
    assert {*own.children()} <= others
