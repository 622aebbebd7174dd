"""RESTART: an interpreter checks the script, imports `preload`, and becomes the run, or ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from bgrscrpt_ioc.lifecycle.events import CommandFailed, State
from tests.process.supervised import DEADLINE, FOREVER, Bench


async def until_alone(bench: Bench) -> None:
    """Wait until the run is the only process of the instance."""
    async with asyncio.timeout(DEADLINE):
        while set(bench.processes()) != {bench.readings.value("PID")}:
            await asyncio.sleep(0.01)


async def log_of(bench: Bench, text: str) -> None:
    """Wait until LOG has this text."""
    await bench.readings.until("LOG", lambda log: text in log)


@pytest.mark.parametrize("good", [True, False])
async def test_what_checked_for_a_restart_does_not_stay(bench: Bench, good: bool) -> None:
    """The interpreter that compiled the script runs it, or ends: nothing waits between runs."""
    supervisor = bench.supervise(preload=("json",))
    await supervisor.start("a@h")
    if good:
        await supervisor.restart("a@h")
    else:
        bench.write("x = = 1\n")
        with pytest.raises(CommandFailed):
            await supervisor.restart("a@h")
    await until_alone(bench)
    assert bench.readings.value("STATUS") == State.RUNNING


async def test_modules_are_imported_while_the_old_run_goes_on(bench: Bench) -> None:
    """`preload` modules of a RESTART are there before the old run is stopped; START has none."""
    (bench.directory / "slow.py").write_text(
        f"import os\nos.kill({os.getpid()}, 0)\nopen('imported', 'w').close()\n"
    )
    supervisor = bench.supervise(
        "import os, sys, time\nprint('slow' in sys.modules, flush=True)\n"
        "try:\n    time.sleep(1000)\n"
        "finally:\n    print('ends', os.path.exists('imported'), flush=True)\n",
        preload=("slow",),
    )
    await supervisor.start("a@h")
    await log_of(bench, "False")
    await supervisor.restart("a@h")
    await log_of(bench, "ends True")
    await bench.readings.until("LOG:LINE", "True")
    await supervisor.stop("a@h")


async def test_a_module_that_cannot_be_imported(bench: Bench) -> None:
    """RESTART works all the same, and a line in LOG names the module and the reason."""
    supervisor = bench.supervise(preload=("nowhere",))
    await supervisor.start("a@h")
    await supervisor.restart("a@h")
    assert bench.readings.value("STARTS") == 2
    await log_of(bench, "bgrscrpt-ioc: preload: nowhere cannot be imported: ModuleNotFoundError")


ODD = {
    "takes for ever": ("import time\ntime.sleep(1000)\n", "preload: not done within 0.5 s"),
    "kills": ("import os\nos.kill(os.getpid(), 9)\n", "preload: the interpreter ended: SIGKILL"),
    "ends": ("import os\nos._exit(3)\n", "preload: the interpreter ended: exit 3"),
}


@pytest.mark.parametrize("name", ODD)
async def test_a_module_that_never_comes_back(bench: Bench, name: str) -> None:
    """A module that hangs, or ends its interpreter, costs a RESTART a plain start, and no more."""
    text, says = ODD[name]
    (bench.directory / "odd.py").write_text(text)
    supervisor = bench.supervise(preload=("odd",))
    if name == "takes for ever":
        bench.launcher.imports = 0.5
    await supervisor.start("a@h")
    await supervisor.restart("a@h")
    assert bench.readings.value("STARTS") == 2
    await log_of(bench, says)
    await until_alone(bench)


async def test_stop_while_modules_are_imported(bench: Bench, tmp_path: Path) -> None:
    """STOP comes first, and what imported for the RESTART ends."""
    (bench.directory / "odd.py").write_text(
        f"import time\nopen({str(tmp_path / 'importing')!r}, 'w').close()\ntime.sleep(1000)\n"
    )
    supervisor = bench.supervise(preload=("odd",))
    await supervisor.start("a@h")
    restarting = asyncio.create_task(supervisor.restart("a@h"))
    async with asyncio.timeout(DEADLINE):
        while not (tmp_path / "importing").exists():
            await asyncio.sleep(0.01)
    await supervisor.stop("b@h")
    with pytest.raises(CommandFailed, match="STOP by b@h came first"):
        await restarting
    async with asyncio.timeout(DEADLINE):
        while bench.processes():
            await asyncio.sleep(0.01)


async def test_a_check_beside_a_restart(bench: Bench) -> None:
    """CHECKs and a RESTART at one time each have an interpreter of their own, and an answer."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    bench.write("print('new')\n" + FOREVER)
    await asyncio.gather(*(supervisor.check("a@h") for _ in range(3)), supervisor.restart("a@h"))
    await log_of(bench, "new")
    await until_alone(bench)
