"""The examples in every failure of what they use: a clear line, and the script goes on or ends."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import websocket_connect

from benchmarks.rig.ca import HERE, Peer, ca_environ, free_port
from tests.examples.alone import Alone
from tests.examples.plots import Plot, plot_environ, until

PLOT = """
import time
from technique.muon.background_plot import BackgroundBlockPlot
plot = BackgroundBlockPlot([("B", "value")], "Temperature", interval=0.05).start()
while True:
    time.sleep(1000)
"""
WATCHDOG = """
import time
from general.utilities.restart_ioc_when_pv_in_alarm import restart_ioc_when_pv_in_alarm
restart_ioc_when_pv_in_alarm("B", ["IOC"], ["never"], wait_for_polling=0.1)
while True:
    time.sleep(1000)
"""
BLOCK = "TE:DEMO:CS:SB:B"
END = "\n"  # of what an example has said: the logger names what it could not read behind its file
RECORDS = {
    "number": f'record(ao, "{BLOCK}") {{ field(VAL, "280") field(PINI, "YES") field(EGU, "K") }}\n',
    "text": f'record(stringin, "{BLOCK}") {{ field(VAL, "warm") field(PINI, "YES") }}\n',
    "array": f'record(waveform, "{BLOCK}") {{ field(FTVL, "DOUBLE") field(NELM, "3") }}\n',
}


def test_a_pv_that_changes(tmp_path: Path) -> None:
    """The IOC of a PV ends, and comes back with another type: each example says so and goes on."""
    port = free_port()
    where = {"SOURCE": BLOCK, "WINDOW": "0.2", "SAMPLES": "2"}
    where |= {"PVS": BLOCK, "DIRECTORY": str(tmp_path / "csv"), "INTERVAL": "0.1"}
    where |= plot_environ(tmp_path)

    def serving(kind: str) -> Peer:
        database = tmp_path / f"{kind}.db"
        database.write_text(RECORDS[kind])
        return Peer([sys.executable, str(HERE / "softioc_peer.py"), str(database), ""], environ)

    environ = ca_environ(port)
    with ExitStack() as stack:

        def start(name: str, **options: str) -> Alone:
            return stack.enter_context(Alone(tmp_path / f"{name}.log", port, **options, **where))

        examples = {
            "plot": start("plot", before=PLOT),
            "watchdog": start("watchdog", before=WATCHDOG),
            "averager": start("averager", example="averager.py"),
            "logger": start("logger", example="data_logger.py"),
        }

        def hear(**said: str) -> None:
            for name, text in said.items():
                until(lambda name=name, text=text: text in "".join(examples[name].said[-1:]) + END)

        with serving("number"):
            hear(watchdog="B is 280", averager="averaging", logger=f".csv{END}")
            until(lambda: "280.0" in (tmp_path / "background_plot_data_01.csv").read_text())
        hear(plot="disconnected", watchdog="not connected", averager="disconnected or INVALID")
        hear(logger=f"no value of {BLOCK}")
        with serving("text"):
            hear(plot="text, which cannot be plotted", watchdog="B is 'warm'")
            hear(averager="is no number: 'warm'")
        hear(watchdog="not connected")
        with serving("array"):
            hear(watchdog="B is [")
        with serving("number"):
            hear(plot="well again", watchdog="B is 280", averager="averaging")
            hear(logger=f".csv{END}")
            for name, example in examples.items():
                beats = example.beats
                until(lambda example=example, beats=beats: example.beats > beats)
                assert example.process.poll() is None, name
                assert "Traceback" not in example.output, name


def test_a_plot_whose_disk_is_full(plot: Callable[..., Plot]) -> None:
    """It says so once and is drawn on; once there is room, the file has all points."""
    running = plot("import technique.muon._plot as p; p.RETRY = 0.2")
    running.until_rows(3)
    running.points.unlink()
    running.points.mkdir()
    until(lambda: "save file failed: IsADirectoryError" in running.output)
    since = datetime.now(UTC)
    running.points.with_name(f"{running.points.name}.new").unlink(missing_ok=True)
    running.points.with_name(f"{running.points.name}.new").symlink_to("/dev/full")
    until(lambda: "save file failed: OSError: [Errno 28]" in running.output)
    running.until(lambda shown: "value: 280 K" in shown)
    room = datetime.now(UTC)
    running.points.with_name(f"{running.points.name}.new").unlink()
    running.points.rmdir()
    until(lambda: "save file is well again" in running.output)
    times = [datetime.fromisoformat(row.partition(",")[0]) for row in running.rows()]
    assert [each for each in times if since < each < room], "those of the meantime, too"
    assert running.output.count("[Errno 28]") == 1
    assert "update failed" not in running.output


def test_a_data_logger_whose_disk_is_full(tmp_path: Path) -> None:
    """It says once that rows are lost, and writes when there is room; it makes a lost directory."""
    directory = tmp_path / "csv"
    directory.mkdir()
    days = [directory / f"{datetime.now().astimezone().date()}.csv"]
    days[0].symlink_to("/dev/full")
    environ = {"PVS": "A", "DIRECTORY": str(directory), "INTERVAL": "0.05"}
    with Alone(tmp_path / "log", 9, example="data_logger.py", **environ) as running:
        until(lambda: running.beats > 3)
        assert running.output.count(f"cannot write to {directory}: [Errno 28]") == 1
        days[0].unlink()
        until(lambda: days[0].exists() and days[0].read_text().count("\n") > 3)
        for each in directory.iterdir():
            each.unlink()
        directory.rmdir()
        until(lambda: days[0].exists() and days[0].read_text().count("\n") > 3)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BACKGROUND_PLOT_PORT", "web", "BACKGROUND_PLOT_PORT is 'web': it must be a number"),
        ("BACKGROUND_PLOT_ADDRESS", "192.0.2.1", "the plot cannot be served at 192.0.2.1, port"),
        ("BACKGROUND_PLOT_PORT", "taken", "set BACKGROUND_PLOT_PORT to another"),
    ],
)
def test_a_plot_that_cannot_be_served(tmp_path: Path, variable: str, value: str, said: str) -> None:
    """A bad port or address, or no free port, ends the script and names the variable to set."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environ = plot_environ(tmp_path, **{variable: port if value == "taken" else value})
        text = "import technique.muon._plot_server as s; s.PORTS = 1\n" + PLOT
        with Alone(tmp_path / "log", 9, before=text, **environ) as running:
            assert running.process.wait(60) == 1
            assert said in running.said[-1]


async def test_browsers_that_go(plot: Callable[..., Plot]) -> None:
    """Viewers that vanish while pictures are sent are no news, and the plot goes on."""
    running = plot()
    url = running.url().replace("http", "ws") + "/1/ws"
    for _ in range(5):
        socket = await websocket_connect(url)
        await socket.write_message('{"type": "refresh"}')
        while not isinstance(await socket.read_message(), bytes):
            pass
        protocol: Any = socket.protocol
        protocol.stream.close()  # without a word to the plot
        socket.close()
    running.until_rows(len(running.rows()) + 10)
    assert "Traceback" not in running.output
