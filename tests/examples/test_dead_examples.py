"""A broken example never looks alive: it ends as a failure, or its heartbeat stops."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.rig.iocs import Ioc
from tests.examples.alone import Alone
from tests.examples.instrument import EXAMPLES
from tests.examples.plots import plot_environ, until

WATCHDOG = """
import general.utilities.restart_ioc_when_pv_in_alarm as watchdog
def step(self, *_):
    self.steps = getattr(self, "steps", 0) + 1
    if self.steps == 2:
        raise {error}
    return []
watchdog.RestartPolicy.step = step
watchdog.restart_ioc_when_pv_in_alarm("block", ["IOC"], ["bad"], wait_for_polling=0.01)
"""
PLOT = """
from technique.muon import _plot, background_plot
class Mine(background_plot.BackgroundPlot):
    def get_data_point(self):
        points = super().get_data_point()
        if len(self.data_x) == 3:
            {more}
        return points
mine = Mine(0.01, "Mine", 1).start()
"""
SERVER_FAILS = """
from technique.muon import _plot_server
def fails(*_, **__):
    raise OSError("no more")
_plot_server.tornado.web.Application = fails
""" + PLOT.format(more="pass")
WAIT = """
import time
try:
    while True:
        time.sleep(1000)
finally:
    print("finally", flush=True)
"""
SWALLOW = """
import time, _worker_thread
_worker_thread.GRACE = 0.5
while True:
    try:
        time.sleep(1000)
    except Exception:
        pass
"""
# What the client library raises may be anything: it must never be taken for an answer.
PV_FAILS = """
import epics
class PV(epics.PV):
    connected, severity, type, write_access, calls = True, 0, "time_double", True, 0
    def __init__(self, *_, **__): pass
    def wait_for_connection(self, *_, **__): return True
    def get(self, *_, **__):
        PV.calls += 1
        if PV.calls > 3:
            raise RuntimeError("libca has a fault")
        return 1.0
    def get_with_metadata(self, *_, **__):
        return {"value": self.get(), "severity": 0}
epics.PV = PV
"""
STARTS = re.compile(r"\b(Thread|Timer|ThreadPoolExecutor|create_task|ensure_future)\(")
RAISES = "def fails(*_):\n    raise SystemError('broken')\nimport time\ntime.sleep = fails\n"
DEATHS = {
    "watchdog": (WATCHDOG.format(error="ValueError('a bug')") + WAIT, "ValueError: a bug"),
    "watchdog, by SystemExit": (WATCHDOG.format(error="SystemExit(0)") + WAIT, "watchdog of block"),
    "the plot's server": (SERVER_FAILS + WAIT + "# may not be reached", "OSError: no more"),
    "plot, by SystemExit": (PLOT.format(more="raise SystemExit(0)") + WAIT, "Mine has died"),
    "watchdog of a script that catches all": (
        WATCHDOG.format(error="ValueError('a bug')") + SWALLOW,
        "has died and the script did not end",
    ),
}


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Alone]]:
    """All of them, running at the same time: most of the time they wait for PVs."""
    with ExitStack() as stack:
        running: dict[str, Alone] = {}
        for name, (text, _) in DEATHS.items():
            directory = tmp_path_factory.mktemp("dead")
            alone = Alone(directory / "log", 9, before=text, **plot_environ(directory))
            running[name] = stack.enter_context(alone)
        yield running


@pytest.mark.parametrize("name", DEATHS)
def test_a_thread_that_dies(dead: dict[str, Alone], name: str) -> None:
    """When the thread of an example dies, the script ends: `finally:` runs, the exit code is 1."""
    (text, last), running = DEATHS[name], dead[name]
    until(lambda: running.process.poll() is not None)
    assert last in running.output
    if text.endswith(WAIT):
        assert "finally\n" in running.output
    assert running.process.returncode == 1


def test_a_plot_that_fails_does_not_beat(tmp_path: Path) -> None:
    """A plot that cannot read its points says so, and its heartbeat stops."""
    text = PLOT.format(more="raise ValueError('no point')") + WAIT
    with Alone(tmp_path / "log", 9, before=text, **plot_environ(tmp_path)) as running:
        until(lambda: "Mine: update failed: ValueError: no point" in running.output)
        assert 0 < running.beats <= 3
        assert running.output.rindex("alive\n") < running.output.index("update failed")


def test_a_callback_that_raises(tmp_path: Path) -> None:
    """If a callback of Channel Access raises, the heartbeat of the example stops."""
    text = """
import technique.muon.background_plot as plot
from technique.muon._plot_channels import Channel
class Broken(Channel):
    def connected(self, *_):
        raise KeyError("a bug")
plot.Channel = Broken
mine = plot.BackgroundBlockPlot([("A", "a")], "Mine", interval=0.01)
for each in mine._blocks:
    each.callback(each.connected)(True, False)
mine.start()
"""
    with Alone(tmp_path / "log", 9, before=text + WAIT, **plot_environ(tmp_path)) as running:
        until(lambda: "a callback failed: KeyError('a bug')" in running.output)
        assert running.beats == 0


@pytest.mark.parametrize("example", ["data_logger.py", "averager.py", "two_instances.py"])
def test_a_library_that_fails(tmp_path: Path, example: str) -> None:
    """An unexpected exception ends an example, with a traceback and exit code 1."""
    environ = {"INTERVAL": "0.01", "WINDOW": "0.1", "SAMPLES": "10"}
    with Alone(tmp_path / "log", 9, example=example, before=PV_FAILS, **environ) as running:
        assert running.process.wait(60) == 1
        assert running.said[-1] == "RuntimeError: libca has a fault"
        assert running.beats > 0


def test_work_that_fails(tmp_path: Path) -> None:
    """A measurement that raises ends its script; so does a job that raises a SystemError."""
    for name in ("heartbeat_and_progress", "background_script", "scheduled_job"):
        with Alone(tmp_path / "log", 9, example=f"{name}.py", before=RAISES) as running:
            assert running.process.wait(60) == 1
            assert running.said[-1] == "SystemError: broken"


def test_its_error_is_served(tmp_path: Path) -> None:
    """Under the IOC, the run of a broken watchdog is a failure, and ERROR has the exception."""
    script = tmp_path / "script.py"
    script.write_text(WATCHDOG.format(error="ValueError('a bug')") + WAIT)
    with Ioc(tmp_path, script, "--python-path", str(EXAMPLES), "--start-limit", "1") as ioc:
        output = ioc.ready().wait_for("ValueError: a bug\n")
        assert "watchdog of block has died: the script ends\n" in output
        assert "finally\n" in output
        ioc.wait_for("Failed: exit 1: ValueError: a bug (script.py:6)")


def test_no_example_has_a_thread_of_another_kind() -> None:
    """Threads, timers, executors and tasks of examples are those whose death ends the script."""
    allowed = {"_worker_thread.py": {"Thread", "Timer"}, "zero_field.py": {"create_task"}}
    allowed |= {"instrument.py": {"create_task"}, "procserv_control.py": {"create_task"}}
    allowed |= {"instrument_host.py": {"Thread"}}  # a repeater: without it the demo works as well
    for path in EXAMPLES.rglob("*.py"):
        found = set(STARTS.findall(path.read_text()))
        assert found <= allowed.get(path.name, set()), path
