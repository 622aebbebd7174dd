"""A run that the IOC has stopped ends quietly in LOG, and a line stands between two runs."""

from __future__ import annotations

import re

import pytest

from tests.process.supervised import DEADLINE, FOREVER, Bench

HANDLED = """
import atexit, sys, time, traceback
atexit.register(print, "at its end")
try:
    sys.stdout.write("up\\n")
    time.sleep(1000)
except KeyboardInterrupt:
    traceback.print_exc()
    HOW
"""


async def test_a_run_that_is_stopped_ends_quietly(bench: Bench) -> None:
    """LOG has no traceback of the KeyboardInterrupt that we asked for, at no time; the file has."""
    supervisor = bench.supervise("import atexit\natexit.register(print, 'at its end')\n" + FOREVER)
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "up")
    await supervisor.restart("alice@h")
    await bench.readings.until("LOG", lambda log: log.endswith("\nup"))
    lines = bench.readings.value("LOG").splitlines()
    assert lines[:2] + lines[3:] == ["up", "at its end", "up"]
    assert re.fullmatch(r"--- 2\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d run 2: .*alice@h.*", lines[2])
    await supervisor.stop("a@h")
    shown = [value for name, value in bench.readings.history if name.startswith("LOG")]
    assert not any("KeyboardInterrupt" in text for text in shown if isinstance(text, str))
    assert bench.readings.value("LOG").endswith("\nup\nat its end")
    bench.writer.close(DEADLINE)
    (file,) = (bench.directory / "log").iterdir()
    assert file.read_text().count(" KeyboardInterrupt\n") == 2


@pytest.mark.parametrize(("how", "count"), [("pass", 1), ("raise", 1), ("1 / 0", 1)])
async def test_what_a_stopped_script_prints_itself_stays(
    bench: Bench, how: str, count: int
) -> None:
    """A script that handles KeyboardInterrupt prints what it wants, and errors of its end stay."""
    supervisor = bench.supervise(HANDLED.replace("HOW", how))
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "up")
    await supervisor.stop("a@h")
    log = bench.readings.value("LOG")
    assert log.count("\nKeyboardInterrupt\n") == (2 if how == "1 / 0" else count)
    assert ("ZeroDivisionError" in log) == (how == "1 / 0")
    assert log.endswith("\nat its end")
