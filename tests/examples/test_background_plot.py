"""The background plot: what it shows, keeps and says, over real Channel Access to real Chromium."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tornado.websocket import websocket_connect

from benchmarks.rig.ca import ECA_NORMAL, Client, ca_environ, free_port
from benchmarks.rig.iocs import Ioc
from benchmarks.rig.where import native
from tests.examples.browser import browsing, like
from tests.examples.instrument import EXAMPLES, INVALID, NO_ALARM, Instrument, P
from tests.examples.plots import BLUE, ORANGE, Plot, fetched, plot_environ, texts, until, urls
from tests.process import genie

StartPlot = Callable[..., Plot]
SAMPLE = f"{P}CS:SB:Temp_Sample"

# Word for word as in ISIS's documentation.
DOCUMENTED = r"""import sys
import os
from time import sleep

sys.path.insert(0, os.path.abspath(os.path.join(r"C:\\", "Instrument", "scripts")))
sys.path.insert(1, os.path.abspath(os.path.join(os.environ["KIT_ROOT"], "ISIS", "inst_servers", "master")))

from technique.muon.background_plot import BackgroundBlockPlot
from genie_python import genie as g
from server_common.helpers import register_ioc_start


register_ioc_start("BGRSCRPT_01")

g.set_instrument(None)

plot=BackgroundBlockPlot((("Temp_Sample", "value"), ("Temp_SP", "set point")), "Temperature").start()

while True:
    sleep(10)
"""

needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="no chromium: run `make system`"
)
needs_genie = pytest.mark.skipif(not genie.IS_THERE, reason=genie.MISSING)


@needs_genie
def test_the_documented_script(tmp_path: Path, instrument: Instrument) -> None:
    """It runs unmodified on our IOC with the real genie_python, registers, and plots the blocks."""
    script = tmp_path / "background_script.py"
    script.write_text(DOCUMENTED)
    environ = plot_environ(tmp_path, KIT_ROOT=native(tmp_path), HOME=native(tmp_path))
    environ["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{instrument.port}"
    path = ("--python-path", EXAMPLES, "--python-path", EXAMPLES / "demo")
    with Ioc(tmp_path, script, *genie.OPTIONS, *path, environ=environ) as ioc:
        ioc.wait_for("started at http")
        url = urls(ioc.output)[0]
        instrument.put("CS:SB:Temp_Sample", 299.25)
        until(lambda: {"value: 299.25 K", "set point: 280 K"} <= set(texts(url)))
        found = texts(url)
        assert {"Temperature Plot", "Temperature (K)"} <= set(found)
        assert any(text.startswith("run 12345 RUNNING, updated ") for text in found)
        instrument.put("DAE:BEGINRUNEX", 1)
        until(lambda: any(text.startswith("run 12346 ") for text in texts(url)))
        instrument.put("SIM:Temp_Sample:SEVR", INVALID)
        until(lambda: "value: no data" in texts(url))
        instrument.put("SIM:Temp_SP:PRESENT", "NO")
        until(lambda: "set point: no data" in texts(url))
        instrument.put("SIM:Temp_SP:PRESENT", "YES")
        until(lambda: "set point: 280 K" in texts(url))


@needs_chromium
async def test_what_chromium_shows(tmp_path: Path, instrument: Instrument, plot: StartPlot) -> None:
    """Both lines in their colours and places, a gap where no value was, legend and title."""
    instrument.put("CS:SB:Temp_Sample", 10)
    instrument.put("CS:SB:Temp_SP", 20)
    running = plot()
    running.until(lambda shown: {"value: 10 K", "set point: 20 K"} <= set(shown))
    running.until_rows(40)
    instrument.put("SIM:Temp_Sample:SEVR", INVALID)
    running.until(lambda shown: "value: no data" in shown)
    running.until_rows(2 * len(running.rows()))
    instrument.put("SIM:Temp_Sample:SEVR", NO_ALARM)
    running.until(lambda shown: "value: 10 K" in shown)
    running.until_rows(len(running.rows()) * 3 // 2)
    async with browsing(running.url(), tmp_path) as page:
        await page.until("document.title === 'Temperature Plot'")
        # Whole pictures only are sent; the page is empty before the first, and when its size changes.
        legend = slice(50, 80), slice(95, 1070)  # in pixels: rows, columns
        picture = await page.picture_with(
            lambda seen: all(like(seen, each)[legend].sum() > 100 for each in (BLUE, ORANGE))
        )
    axes = slice(95, 495), slice(95, 1070)
    blue, orange = like(picture, BLUE)[axes], like(picture, ORANGE)[axes]
    rows = [np.flatnonzero(line.sum(axis=1) > 200) for line in (blue, orange)]
    assert len(rows[0]) in range(1, 5), "the value is one horizontal line"
    assert len(rows[1]) in range(1, 5), "the set point is one horizontal line"
    assert rows[0].mean() - rows[1].mean() > 200, "10 K is far below 20 K"
    columns = [np.flatnonzero(line.any(axis=0)) for line in (blue, orange)]
    span = columns[1].max() - columns[1].min()
    assert span > 300, "the set point goes from side to side"
    assert np.diff(columns[1]).max() < 5, "without a gap"
    gaps = np.diff(columns[0])
    assert (gaps > 20).sum() == 1, "the value has one while INVALID"
    assert gaps.max() < span * 3 / 4, "and no longer"


def test_troubles_are_said_once(instrument: Instrument, plot: StartPlot) -> None:
    """A block that is INVALID, gone or not there yet is one line of log, and one when it is back."""
    instrument.put("SIM:Temp_SP:PRESENT", "NO")
    running = plot()
    until(lambda: "Temp_SP is disconnected" in running.output)
    instrument.put("SIM:Temp_SP:PRESENT", "YES")  # appears later
    running.until(lambda shown: "set point: 280 K" in shown)
    for alarm, shown in ((INVALID, "value: no data"), (NO_ALARM, "value: 280 K")):
        instrument.put("SIM:Temp_Sample:SEVR", alarm)
        running.until(lambda texts, shown=shown: shown in texts)
        running.until_rows(len(running.rows()) + 10)
    instrument.put("SIM:Temp_Sample:PRESENT", "NO")
    running.until(lambda texts: "value: no data" in texts)
    running.until_rows(len(running.rows()) + 10)
    said = [line for line in running.output.splitlines() if "CS:SB" in line]
    assert [line.partition(f"{P}CS:SB:")[2] for line in said] == [
        "Temp_SP is disconnected: a gap in its line",
        "Temp_SP is well again",
        "Temp_Sample is in INVALID alarm: a gap in its line",
        "Temp_Sample is well again",
        "Temp_Sample is disconnected: a gap in its line",
    ]


def test_a_new_run_begins_an_empty_plot(instrument: Instrument, plot: StartPlot) -> None:
    """Points go when a new run is RUNNING, on file too, and not when a run has only ended."""
    running = plot()
    running.until_rows(30)
    instrument.put("DAE:ENDRUN", 1)
    instrument.put("DAE:RUNNUMBER", "00012346")
    running.until(lambda shown: any("run 12345 SETUP" in text for text in shown))
    first = running.until_rows(len(running.rows()) + 10)[0]
    instrument.put("DAE:RUNSTATE", "RUNNING")
    running.until(lambda shown: any("run 12346 RUNNING" in text for text in shown))
    assert first not in running.until_rows(2)
    assert "# run_number:00012346" in running.points.read_text()
    assert "run 00012346 begins" in running.output


def test_it_resumes_after_a_stop(plot: StartPlot) -> None:
    """A SIGINT ends the script as usual; the next run has the points, but no corrupt ones."""
    first = plot()
    before = first.until_rows(10)
    first.end()
    assert "finally" in first.output
    assert all(row.count(",") == 2 for row in first.rows())
    with first.points.open("a") as file:
        file.write("nonsense\n2026-11-24T01:00:00,1,2,3\n2026-11-24T01:00:01,abc,2\n2026-11-2")
    second = plot()
    kept = second.until_rows(len(before) + 10)
    assert kept[: len(before)] == before
    assert second.output.count("4 corrupt rows skipped") == 1
    assert any(row.endswith(",,") for row in kept), "a gap for the time between the runs"
    assert "nonsense" not in second.points.read_text()


def test_the_points_of_other_blocks_are_not_taken_over(plot: StartPlot) -> None:
    """After a change of the script the plot begins anew, and says so."""
    first = plot()
    before = first.until_rows(10)
    first.end()
    second = plot(blocks=(("Temp_SP", "value"), ("Temp_Sample", "set point")))
    until(lambda: "is not of this plot: not taken over" in second.output)
    until(lambda: before[-1] not in second.rows())


def test_a_second_plot_has_a_second_port(plot: StartPlot) -> None:
    """Two plots of one script are two addresses and two files."""
    running = plot("BackgroundBlockPlot([('Temp_SP', 'other')], 'Second', interval=0.05).start()")
    assert running.url(1) != running.url(0)
    assert "<title>Second Plot</title>" in fetched(running.url(1))
    until(running.points.with_name("background_plot_data_01_2.csv").exists)


def test_a_port_in_use_gives_the_next_one(plot: StartPlot) -> None:
    """The plot of another script at this port is left alone."""
    running = plot(
        "port = int(plot.url.rpartition(':')[2])\n"
        "BackgroundBlockPlot([('Temp_SP', 'other')], 'Second', port=port).start()"
    )
    ports = [int(running.url(each).rpartition(":")[2]) for each in (0, 1)]
    assert ports[0] < ports[1] <= ports[0] + 20


def test_a_subclass_that_fails(plot: StartPlot) -> None:
    """Whatever its methods raise is said once; the plot goes on, and says when it is well."""
    running = plot("""
from technique.muon.background_plot import BackgroundPlot
class Mine(BackgroundPlot):
    count = 0
    def get_data_point(self):
        Mine.count += 1
        if Mine.count < 50:
            raise RuntimeError('not yet')
        return super().get_data_point()
Mine(0.01, 'Mine', 1).start()
""")
    until(lambda: "Mine: update is well again" in running.output)
    assert running.output.count("Mine: update failed: RuntimeError: not yet") == 1
    url = running.url(1)
    until(lambda: any(text.startswith("set 1: ") for text in texts(url)))


def test_memory_and_file_stay_bounded(plot: StartPlot) -> None:
    """Where the points would be too many, older ones are thinned, in memory and on file."""
    running = plot("import technique.muon._plot as p; p.POINTS = 100")
    running.until_rows(100)
    until(lambda: len(running.rows()) < 70)
    assert fetched(f"{running.url()}/1/download.csv").count("\n") <= 102


def test_viewers_cannot_change_anything(plot: StartPlot) -> None:
    """What is no picture and no page is not there, and no code of matplotlib is to be called."""
    running = plot()
    running.until(lambda shown: "value: 280 K" in shown)
    for path in ("/1/download.py", "/2", "/_static/../_plot.py"):
        with pytest.raises(OSError, match=r"40[34]"):
            fetched(running.url() + path)


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    """Without matplotlib the import fails with the extra that brings it."""
    text = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); sys.modules['matplotlib'] = None\n"
        "from technique.muon.background_plot import BackgroundBlockPlot"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], env=ca_environ(1, HOME=str(tmp_path)), text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr.endswith(
        "ImportError: the background plot needs matplotlib, which this Python has not:"
        " pip install 'bgrscrpt_ioc[plot]' (or matplotlib and tornado)\n"
    )


@pytest.mark.parametrize("first", ["theirs first", "ours first"])
def test_a_real_checkout_wins(tmp_path: Path, first: str) -> None:
    """With InstrumentScripts on the path its plot is used, and all of its packages is there."""
    package = tmp_path / "technique" / "muon"
    package.mkdir(parents=True)
    for directory in (package, package.parent):
        (directory / "__init__.py").touch()
    (package / "background_plot.py").write_text("WHOSE = 'InstrumentScripts'\n")
    path = [str(tmp_path), str(EXAMPLES)]
    if first == "ours first":
        path.reverse()
    script = tmp_path / "script.py"
    script.write_text("from technique.muon.background_plot import WHOSE\nprint('plot of', WHOSE)\n")
    with Ioc(tmp_path, script, environ={"PYTHONPATH": ":".join(path)}) as ioc:
        ioc.wait_for("plot of InstrumentScripts")


async def test_it_stops_while_somebody_looks(plot: StartPlot) -> None:
    """The viewer is told, no thread is waited for, and nothing is said of either."""
    running = plot()
    socket = await websocket_connect(running.url().replace("http", "ws") + "/1/ws")
    await socket.write_message('{"type": "refresh"}')
    await socket.write_message('{"type": "toolbar_button", "name": "home"}')
    await socket.write_message('{"type": "draw"}')
    while not isinstance(await socket.read_message(), bytes):
        pass  # until a picture has come
    running.process.send_signal(signal.SIGINT)
    while await socket.read_message() is not None:
        pass
    socket.close()
    until(lambda: running.process.poll() is not None)
    said = running.output.partition("finally\n")[2]
    assert said.startswith("Traceback")
    assert said.endswith("\nKeyboardInterrupt\n")
    assert "Task" not in said


def test_an_instrument_that_dies(plot: StartPlot, instrument: Instrument) -> None:
    """When its IOC is killed there is a gap, not a failure, and each PV is one line."""
    running = plot()
    running.until(lambda shown: "value: 280 K" in shown)
    instrument.process.kill()
    running.until(lambda shown: "value: no data" in shown)
    until(lambda: "DAE:RUNNUMBER is disconnected" in running.output)
    running.until_rows(len(running.rows()) + 10)
    assert running.output.count(f"{SAMPLE} is disconnected") == 1
    assert running.output.count("DAE:RUNNUMBER is disconnected") == 1
    assert "Traceback" not in running.output


def test_the_demonstration(tmp_path: Path) -> None:
    """The IOC of `make demo` has an instrument, a plot of it, and a watchdog of an IOC of its own."""
    port = free_port()
    others = ("INSTRUMENT", "ZFMAGFLD", "CONTROL", "CONSOLE")
    environ = {f"DEMO_{name}_PORT": str(free_port()) for name in others}
    environ |= {"DEMO_IOC_PORT": str(port), "BACKGROUND_PLOT_PORT": "0"}
    config = EXAMPLES / "demo" / "demo.toml"
    with Ioc(tmp_path, "--config", config, port=port, environ=environ) as ioc:
        ioc.wait_for("started at http")
        url = urls(ioc.output)[0]
        until(lambda: "Temperature (K)" in texts(url) and "value: 2" in "".join(texts(url)))
        with Client(port) as client:
            assert url in client.text(f"{P}BGRSCRPT_01:MESSAGE")
            message = f"{P}BGRSCRPT_02:MESSAGE"
            if shutil.which("procServ") is None:
                assert "procServ is not installed" in client.text(f"{P}ZERO_FIELD:ERROR")
                pytest.skip("procServ is not installed: sudo apt-get install procserv")
            until(lambda: client.text(message) == "field_ZF_status is 'OK'")
        play_the_demonstration(port, environ, url)
        assert list((tmp_path / "state").rglob("background_plot_data_01.csv"))


def play_the_demonstration(port: int, environ: dict[str, str], url: str) -> None:
    """Put what `make demo` tells its reader to put, and see what it promises."""
    ports = (
        port,
        *(environ[f"DEMO_{name}_PORT"] for name in ("INSTRUMENT", "ZFMAGFLD", "CONTROL")),
    )
    addresses = " ".join(f"127.0.0.1:{each}" for each in ports)
    with Client(port, EPICS_CA_ADDR_LIST=addresses) as client:
        assert client.put_callback(f"{P}DAE:BEGINRUNEX", 1) == ECA_NORMAL
        until(lambda: any(text.startswith("run 12346 ") for text in texts(url)))
        block = client.monitor(SAMPLE)
        assert client.put_callback(f"{P}SIM:Temp_Sample:SEVR", "INVALID") == ECA_NORMAL
        client.wait_for(lambda: block.events[-1]["severity"] == INVALID)
        began = len(block.events)
        until(lambda: "value: no data" in texts(url))
        client.wait_for(lambda: len(block.events) > began + 8)  # it moves all the time
        assert {each["severity"] for each in block.events[began:]} == {INVALID}
        assert "value: no data" in texts(url)
        assert client.put_callback(f"{P}SIM:Temp_Sample:SEVR", "NO_ALARM") == ECA_NORMAL
        until(lambda: "value: no data" not in texts(url))
        rows = fetched(f"{url}/1/download.csv").splitlines()[1:]
        gaps = [row.split(",")[1] == "" for row in rows]
        assert sum(gaps) >= 2
        assert not gaps[-1], "a gap in its line, and the line goes on"
        assert client.put_callback(f"{P}ZFMAGFLD_01:SIM:FAIL", 1) == ECA_NORMAL
        message = f"{P}BGRSCRPT_02:MESSAGE"
        until(lambda: "ZFMAGFLD_01 back online after 1 restart" in client.text(message))
