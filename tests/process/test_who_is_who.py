"""`ps`, `top` and the kernel's log say whose interpreter it is; the script sees none of that."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil
import pytest

from bgrscrpt_ioc.process.process import CHECK
from tests.process.scripts import Runner, by_hand, interpreters
from tests.process.supervised import DEADLINE, Bench

ALL = {version: path for version, path in interpreters().items() if version >= (3, 8)}
UP = "import sys, time\nsys.stdout.write('up\\n')\ntime.sleep(1000)\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "background_script.py"


def comm(pid: int) -> str:
    """What `top` shows."""
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


async def test_a_run(script: Path, runner: Runner) -> None:
    """A run has the instance's name as its own, and the script's beside it in its arguments."""
    script.write_text(UP)
    process, heard = runner.launch(script)
    await heard.until_printed(b"up\n")
    assert psutil.Process(process.pid).cmdline()[-2:] == ["BGRSCRPT_01", "background_script.py"]
    assert comm(process.pid) == "BGRSCRPT_01"


async def test_one_that_waits(script: Path, runner: Runner) -> None:
    """An interpreter that waits for its run has a `~` before its name, until it runs."""
    script.write_text("print(open('/proc/self/comm').read(), end='')\n")
    process, waiting = runner.launch(script, mode="standby")
    process.tell(CHECK)
    async with asyncio.timeout(DEADLINE):
        while not waiting.messages:
            waiting.changed.clear()
            await waiting.changed.wait()
    assert comm(process.pid) == "~BGRSCRPT_01"
    assert (await runner.go(process)).text == b"BGRSCRPT_01\n"


async def test_the_guardian_and_a_check(bench: Bench) -> None:
    """The guardian has a name of its own, and an interpreter that only checks says so."""
    bench.supervise("raise SystemExit\n")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE
    while comm(bench.guardian.pid) != "bgrscrpt-guard":
        assert loop.time() < deadline
        await asyncio.sleep(0.01)
    checking = asyncio.ensure_future(bench.launcher.check())
    seen: list[str] = []
    while not checking.done():
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error, IndexError):
                seen.append(child.cmdline()[-1])
        await asyncio.sleep(0.001)
    assert await checking == ""
    assert "(check)" in seen


@pytest.mark.parametrize("version", ALL, ids=str)
async def test_what_the_script_sees(version: tuple[int, int], script: Path, runner: Runner) -> None:
    """`sys.argv` and `sys.orig_argv` are those of `python -u script.py`, and can be run again."""
    script.write_text(
        "import os, sys\nprint(sys.argv, getattr(sys, 'orig_argv', None))\n"
        "if hasattr(sys, 'orig_argv') and 'AGAIN' not in os.environ:\n"
        "    os.environ['AGAIN'] = 'yes'\n    os.execv(sys.executable, sys.orig_argv)\n"
    )
    heard = await runner.run(script, ALL[version], "an", "argument")
    output, _ = by_hand(script, ALL[version], "an", "argument")
    assert heard.text == output
    assert heard.text.count(b"background_script.py") >= 1
