"""One instance and the interpreter that it keeps for its next start."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.events import CommandFailed, Severity, State
from bgrscrpt_ioc.launch import COOKIE
from tests.process.test_supervisor import FOREVER, Bench, bench  # noqa: F401 - a fixture


def waiting(bench: Bench) -> list[int]:  # noqa: F811
    """The pids of interpreters of the instance that run no script."""
    pid, _ = bench.readings.get("PID", (0, None))
    found = posix.started_with_any(COOKIE)
    mine = [each for each, cookie in found.items() if f"/test{os.getpid()}/" in cookie]
    return [each for each in mine if each != pid]


async def ready(bench: Bench) -> int:  # noqa: F811
    """Wait for the spare; its pid."""
    await bench.readings.until("SPARE", lambda text: text.startswith("ready"))
    (pid,) = waiting(bench)
    return pid


async def test_restart_by_the_spare(bench: Bench) -> None:  # noqa: F811
    """RESTART runs the new text in the interpreter that waited, and another one waits then."""
    supervisor = bench.supervise(warm_spare=True, preload=("json",))
    await supervisor.start("a@h")
    spare = await ready(bench)
    assert bench.readings.value("SPARE:MEMORY") > 5
    bench.write("print('new')\n" + FOREVER)
    await supervisor.restart("a@h")
    assert bench.readings.value("PID") == spare
    supervisor.refresh("CPU")
    assert bench.readings.value("CPU") < 100  # what it took to wait is not the script's
    await bench.readings.until("LOG:LINE", "up")
    assert "new\n" in bench.readings.value("LOG")
    assert await ready(bench) != spare
    assert bench.readings.value("STARTS") == 2


async def test_start_by_the_spare(bench: Bench) -> None:  # noqa: F811
    """Also a stopped instance has one, from the beginning; the IOC's end is its end."""
    supervisor = bench.supervise(warm_spare=True, at_start="stop")
    supervisor.begin()
    spare = await ready(bench)
    await supervisor.start("a@h")
    assert bench.readings.value("PID") == spare
    await supervisor.stop("a@h")
    await ready(bench)
    await supervisor.shutdown()
    assert waiting(bench) == []


async def test_automatic_start_by_the_spare(bench: Bench) -> None:  # noqa: F811
    """The restart policy uses it too."""
    supervisor = bench.supervise("import sys\nsys.exit(3)\n", warm_spare=True, start_limit=2)
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FAILED)
    assert bench.readings.value("STARTS") == 2
    assert bench.readings.value("EXITREASON") == "exit 3"


async def test_broken_preload(bench: Bench) -> None:  # noqa: F811
    """A module that cannot be imported ahead: an alarm and a warning, and starts are cold ones."""
    supervisor = bench.supervise(warm_spare=True, preload=("nowhere",))
    await supervisor.start("a@h")
    await bench.readings.until("SPARE", lambda text: text.startswith("broken: nowhere cannot"))
    assert bench.readings["SPARE"][1] is Severity.MINOR
    await supervisor.restart("a@h")
    assert bench.readings.value("STATUS") == State.RUNNING
    warning = "no spare interpreter, the next start is a cold one: nowhere cannot be imported"
    await bench.readings.until("SPARE", lambda text: text.startswith("broken: nowhere cannot"))
    (bench.directory / "nowhere.py").write_text("")
    await supervisor.restart("a@h")
    await ready(bench)
    bench.writer.close(10)
    (log,) = (bench.directory / "log").iterdir()
    assert log.read_text().count(warning) == 2


async def test_lost_spare(bench: Bench) -> None:  # noqa: F811
    """Somebody kills it: another one is prepared, and the script is none the wiser."""
    supervisor = bench.supervise(warm_spare=True)
    await supervisor.start("a@h")
    spare = await ready(bench)
    psutil.Process(spare).kill()
    await bench.readings.until("SPARE", "preparing")
    assert await ready(bench) != spare
    assert bench.readings.value("STATUS") == State.RUNNING


async def test_no_interpreter(bench: Bench) -> None:  # noqa: F811
    """Where there is none to be started, the spare says what the start would."""
    supervisor = bench.supervise(warm_spare=True, at_start="stop", python=Path("/nowhere/python"))
    supervisor.begin()
    assert bench.readings.value("SPARE").startswith("broken: cannot run /nowhere/python: No such")


@pytest.mark.parametrize("good", [True, False])
async def test_what_checked_for_a_restart_does_not_stay(
    bench: Bench,  # noqa: F811
    good: bool,
) -> None:
    """Without `warm_spare` the interpreter that compiled the script runs it, or ends."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    if good:
        await supervisor.restart("a@h")
    else:
        bench.write("x = = 1\n")
        with pytest.raises(CommandFailed):
            await supervisor.restart("a@h")
    async with asyncio.timeout(10):
        while waiting(bench):
            await asyncio.sleep(0.01)
    assert bench.readings.value("SPARE") == "off"
    assert bench.readings.value("STATUS") == State.RUNNING
