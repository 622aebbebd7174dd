"""Restart on save, with real children: a good text replaces the run, a bad one never does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Literal

import pytest

from bgrscrpt_ioc.lifecycle.events import Severity, State
from bgrscrpt_ioc.script.onchange import BY, OnChange
from tests.process.supervised import DEADLINE, FOREVER, Bench

BAD = "def (:\n"
Begin = Callable[[Literal["check", "restart"]], OnChange]


@pytest.fixture
async def begin(bench: Bench) -> AsyncIterator[Begin]:
    """Look at the script of the bench, often."""
    begun: list[OnChange] = []

    def start(mode: Literal["check", "restart"]) -> OnChange:
        begun.append(
            OnChange(
                mode,
                script=bench.script_file,
                checks=bench.launcher,
                restarts=bench.supervisor,
                output=bench.output,
                look=0.02,
                still=0.1,
            )
        )
        return begun[-1]

    yield start
    for each in begun:
        each.close()


async def test_a_good_text_is_run(bench: Bench, begin: Begin) -> None:
    """STATUS:MSG and the history say who asked. It also works with an editor that renames."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    begin("restart")
    bench.write("print('second')\n" + FOREVER)
    await bench.readings.until("LOG", lambda text: "second" in text)
    await bench.readings.until("STATUS:MSG", f"restarted by {BY}")
    new = bench.script.with_name("script.py.new")
    new.write_text("print('third')\n" + FOREVER)
    new.replace(bench.script)
    await bench.readings.until("LOG", lambda text: "third" in text)
    await bench.readings.until("STATUS", State.RUNNING)
    await bench.readings.until("HISTORY", lambda text: text.count(f'"by": "{BY}"') == 2)


async def test_a_bad_text_stops_nothing(bench: Bench, begin: Begin) -> None:
    """The problem is in SCRIPT:MSG, in alarm, and in LOG.

    When the text is good again, it is gone.
    """
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    pid = bench.readings.value("PID")
    begin("restart")
    bench.write(BAD)
    await bench.readings.until("SCRIPT:MSG", lambda text: "and is bad: SyntaxError" in text)
    assert bench.readings["SCRIPT:MSG"][1] is Severity.MINOR
    await bench.readings.until("LOG", lambda text: "and is bad: SyntaxError" in text)
    assert (bench.readings.value("STATUS"), bench.readings.value("PID")) == (State.RUNNING, pid)
    bench.write("print('mended')\n" + FOREVER)
    await bench.readings.until("LOG", lambda text: "mended" in text)
    await bench.readings.until("SCRIPT:MSG", "")
    assert bench.readings.value("PID") != pid


async def test_a_check_restarts_nothing(bench: Bench, begin: Begin) -> None:
    """With `check` a good text waits for the next start, and SCRIPT:MSG says so without alarm."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    begin("check")
    bench.write("print('second')\n" + FOREVER)
    await bench.readings.until("SCRIPT:MSG", lambda text: "compiles" in text)
    assert bench.readings["SCRIPT:MSG"][1] is Severity.NO_ALARM
    assert bench.readings.value("STARTS") == 1
    await supervisor.restart("a@h")
    await bench.readings.until("SCRIPT:MSG", "")


async def test_a_stopped_instance_is_not_started(bench: Bench, begin: Begin) -> None:
    """An instance that a user has stopped stays stopped; its new text is checked."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    await supervisor.stop("a@h")
    begin("restart")
    await bench.readings.until("SCRIPT", str(bench.script))
    bench.write("print('second')\n" + FOREVER)
    await bench.readings.until("SCRIPT:MSG", lambda text: "the next start runs it" in text)
    assert bench.readings.value("STATUS") == State.STOPPED
    assert bench.readings.value("STARTS") == 1


async def test_a_failed_script_is_started_when_it_is_mended(bench: Bench, begin: Begin) -> None:
    """A script that failed before its first line is started when its text is good."""
    supervisor = bench.supervise(BAD, restart="never")
    with pytest.raises(Exception, match="SyntaxError"):
        await supervisor.start("a@h")
    begin("restart")
    await bench.script_file.look()
    await asyncio.sleep(0.1)  # the first look of many: what is there then is what has failed
    bench.write(FOREVER)
    await bench.readings.until("STATUS", State.RUNNING)


async def test_a_change_that_leaves_the_times(bench: Bench, begin: Begin) -> None:
    """A text of the same size, within the resolution of the file's time, is seen as new."""
    supervisor = bench.supervise("print('one')\n" + FOREVER)
    await supervisor.start("a@h")
    begin("restart")
    await bench.script_file.look()
    before = bench.script.stat()
    with bench.script.open("r+") as file:
        file.write("print('two')")
    os.utime(bench.script, ns=(before.st_atime_ns, before.st_mtime_ns))
    await bench.readings.until("LOG", lambda text: "two" in text)
    async with asyncio.timeout(DEADLINE):
        while bench.readings.value("SCRIPT:CHANGED"):
            await bench.script_file.look()
