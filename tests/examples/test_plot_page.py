"""What the page of a plot says and shows in real Chromium: on a busy machine, in a small window."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from technique.muon._plot_figure import new_figure
from technique.muon._plot_server import PlotServer
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import websocket_connect

from benchmarks.rig.ca import ca_environ, free_port
from tests.examples.browser import Page, browsing, like
from tests.examples.instrument import EXAMPLES, Instrument
from tests.examples.plots import BLUE, ORANGE, Plot
from tests.process import genie

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="no chromium: run `make system`"
)
LOADS = 8
# The page's banner, recorded from before the page's own scripts run: a page that loses its
# connection reloads itself, and would look well to who comes later.
RECORD = """
const recorded = JSON.parse(sessionStorage.lost || "[]");
const watch = setInterval(() => {
  const lost = document.getElementById("lost");
  if (!lost) return;
  clearInterval(watch);
  new MutationObserver(() => {
    recorded.push(lost.textContent);
    sessionStorage.lost = JSON.stringify(recorded);
  }).observe(lost, {attributes: true, childList: true});
}, 1);
"""
DRAWN = (
    "Boolean(document.querySelector('canvas')?.getContext('2d').getImageData(0, 0, 1, 1).data[3])"
)
RIGHT = "document.querySelector('canvas').getBoundingClientRect().right"


@pytest.fixture
def busy() -> Iterator[None]:
    """A machine on which two other programs want to run, too."""
    command = [sys.executable, "-c", "while True: pass"]
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            process = subprocess.Popen(command)
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


@pytest.mark.usefixtures("busy")
async def test_a_page_that_is_loaded_often(tmp_path: Path, plot: Callable[..., Plot]) -> None:
    """Of many loads on a busy machine each shows the plot, and none loses its connection."""
    running = plot()
    url = running.url()
    async with browsing(url, tmp_path) as page:
        await page.before(RECORD)
        for _ in range(LOADS):
            await page.load(url)
            await page.until(
                f"document.title === 'Temperature Plot' && ({DRAWN} || sessionStorage.lost)"
            )
        said = await page.evaluate("sessionStorage.lost || ''")
    assert not said, f"of {LOADS} loads some said: {said}"


async def test_the_newest_data_are_in_the_window(
    tmp_path: Path, instrument: Instrument, plot: Callable[..., Plot]
) -> None:
    """In a window of any width the whole picture is seen, and its right edge is in the window."""
    instrument.put("CS:SB:Temp_SP", 280)
    running = plot()
    async with browsing(running.url(), tmp_path) as page:
        await page.until(f"document.title === 'Temperature Plot' && {DRAWN}")
        for width in (1400, 1000, 700, 1000):
            await page.resize(width)
            least = min(width - 30, 1100)  # no smaller than need be
            await page.until(f"innerWidth === {width} && {RIGHT} <= {width} && {RIGHT} > {least}")
            assert not await page.evaluate("scrollX"), "nothing is scrolled"
        await page.picture_with(lambda seen: like(seen, ORANGE).sum() > 100)


async def test_a_viewer_that_does_not_read() -> None:
    """Of many pictures a viewer that is slow gets the newest, and the others fill no memory."""
    before = signal.getsignal(signal.SIGINT)
    figure, _ = new_figure()
    server = PlotServer(figure, threading.RLock(), "Plot", str, print)
    port = server.start("127.0.0.1", 0)
    socket = await websocket_connect(f"ws://127.0.0.1:{port}/1/ws", max_message_size=1 << 24)
    try:
        while not server.manager.web_sockets:
            await asyncio.sleep(0.01)
        (viewer,) = server.manager.web_sockets
        for number in range(100):
            picture = bytes([number]) * 1_000_000
            server.loop.call_soon_threadsafe(viewer.send_binary, picture)
        seen: list[int] = []
        async with asyncio.timeout(60):
            while seen[-1:] != [99]:
                message = await socket.read_message()
                assert message is not None, "the server has dropped the viewer"
                if isinstance(message, bytes):
                    seen.append(message[0])
        assert seen == sorted(seen)
        assert len(seen) < 50, "what the kernel took, and one more"
    finally:
        socket.close()
        server.stop()
        signal.signal(signal.SIGINT, before)


# --- ibex_plot.html ------------------------------------------------------------------------------

GENIE_PLOT = """
import sys, time
from genie_python.matplotlib_backend import ibex_websocket_backend as backend
backend.PRIMARY_WEB_PORT = backend._web_backend_port = int(sys.argv[1])
import matplotlib
matplotlib.use("module://genie_python.matplotlib_backend.ibex_websocket_backend")
from matplotlib import pyplot
figure, axes = pyplot.subplots()
line, = axes.plot([0, 1], [0, 0], color=sys.argv[2], linewidth=20)
pyplot.show()
print("shown", flush=True)
sys.stdin.readline()
line.set_color(sys.argv[3])
pyplot.draw()
print("changed", flush=True)
time.sleep(1000)
"""
STAMP = (
    "Number(document.getElementById('picture').src.split('?')[1] || 0)"  # ms: when it was asked for
)


@pytest.mark.skipif(not genie.IS_THERE, reason=genie.MISSING)
async def test_a_page_for_plots_of_genie_python(tmp_path: Path) -> None:
    """Our page shows what genie_python's own plot shows now, and says when there is no plot."""
    port, page_file = free_port(), EXAMPLES / "ibex_plot.html"
    address = f"{page_file.as_uri()}?plot=127.0.0.1:{port}"
    script = tmp_path / "script.py"
    script.write_text(GENIE_PLOT)
    environ = ca_environ(9, HOME=str(tmp_path))
    async with browsing(address, tmp_path) as page:
        lost = "document.getElementById('lost')"
        await page.until(f"{lost}.style.display === 'block'")
        assert f"No picture from figure 1 of http://127.0.0.1:{port}" in await page.evaluate(
            f"{lost}.textContent"
        )
        process = await asyncio.create_subprocess_exec(
            *(str(genie.PYTHON), str(script), str(port), BLUE, ORANGE),
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            while b"shown" not in await process.stdout.readline():
                pass
            await page.until(f"{lost}.style.display === 'none' && {STAMP}")
            assert await page.evaluate("document.getElementById('picture').naturalWidth") > 300
            assert (await _drawn(page, BLUE)) > 1000
            process.stdin.write(b"\n")
            while b"changed" not in await process.stdout.readline():
                pass
            changed = await page.evaluate("Date.now()")
            await page.until(f"{STAMP} > {changed}")
            assert (await _drawn(page, ORANGE)) > 1000
        finally:
            process.kill()
            await process.wait()
        await page.until(f"{lost}.style.display === 'block'")
        assert "what you see is old" in await page.evaluate(f"{lost}.textContent")


async def _drawn(page: Page, colour: str) -> int:
    """How many pixels of this colour the picture has that the page shows.

    Fetched again from its address: the page's own copy is from another origin, which a script may
    show and not read.
    """
    answer = await AsyncHTTPClient().fetch(
        await page.evaluate("document.getElementById('picture').src")
    )
    return int(like(Image.open(io.BytesIO(answer.body)).convert("RGB"), colour).sum())
