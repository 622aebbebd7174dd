"""`stop_signal = "SIGTERM"`: for scripts that were written for systemd or Supervisor."""

from __future__ import annotations

from bgrscrpt_ioc.lifecycle.events import Severity, State
from tests.process.supervised import FOREVER, Bench

TIDY = """
import signal, sys, time
def tidy(*_):
    print("tidy", flush=True)
    HOW
signal.signal(signal.SIGTERM, tidy)
try:
    sys.stdout.write("up\\n")
    while True:
        time.sleep(1000)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""


async def stopped(bench: Bench, text: str, **settings: object) -> tuple[object, str, str]:
    """Stop a script that is up; its exit code and reason, and its output."""
    supervisor = bench.supervise(text, stop_signal="SIGTERM", **settings)
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "up")
    await supervisor.stop("a@h")
    readings = bench.readings
    assert readings["STATUS"] == (State.STOPPED, Severity.NO_ALARM)
    assert readings.value("STATUS:MSG") == "stopped by a@h"
    assert "ERROR" not in readings
    return readings.value("EXITCODE"), readings.value("EXITREASON"), readings.value("LOG")


async def test_a_handler(bench: Bench) -> None:
    """The script's handler of SIGTERM runs, and decides how it ends."""
    code = await stopped(bench, TIDY.replace("HOW", "sys.exit(3)"))
    assert code == (3, "exit 3", "up\ntidy")


async def test_a_handler_that_raises_keyboardinterrupt(bench: Bench) -> None:
    """A KeyboardInterrupt of the handler's own ends quietly, as with SIGINT."""
    code = await stopped(bench, TIDY.replace("HOW", "raise KeyboardInterrupt"))
    assert code == (-2, "SIGINT", "up\ntidy\ninterrupted")


async def test_no_handler(bench: Bench) -> None:
    """Without a handler SIGTERM ends the script, as it does with systemd."""
    assert await stopped(bench, FOREVER) == (-15, "SIGTERM", "up")


async def test_one_that_stays(bench: Bench) -> None:
    """A script whose handler does not end it gets SIGTERM again, then SIGKILL."""
    text = TIDY.replace("HOW", "pass")
    *how, log = await stopped(bench, text, stop_timeout=0.3)
    assert how == [-9, "SIGKILL (did not stop)"]
    assert log.startswith("up\ntidy\ntidy")
