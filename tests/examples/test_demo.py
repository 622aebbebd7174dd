"""`make demo` on a host without EPICS."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from benchmarks.rig.ca import free_port
from benchmarks.rig.iocs import Ioc, until
from bgrscrpt_ioc.host.posix import processes as posix
from tests.examples.browser import SIZE, Page, browsing
from tests.examples.zerofield import SCRIPTS

pytestmark = [
    pytest.mark.skipif(shutil.which("procServ") is None, reason="no procServ: run `make system`"),
    pytest.mark.timeout(600),
]
START = (sys.executable, "-P", SCRIPTS / "demo/start_demo.py")
PICTURE = Path(__file__).parents[2] / "docs/images/web-demo.png"
TALL = 540  # pixels of the README's picture
MARK = "STARTED_BY_TEST_OF_THE_DEMO"
NAMES = ("IOC", "INSTRUMENT", "ZFMAGFLD", "CONTROL", "CONSOLE", "WEB")


def demo(directory: Path, **more: str) -> Ioc:
    """Start the demonstration, in a session of its own as a terminal has one."""
    ports = {f"DEMO_{name}_PORT": str(free_port()) for name in NAMES}
    environ = ports | {
        "PATH": "/usr/bin:/bin",
        "EPICS_CA_REPEATER_PORT": str(free_port()),
        "BACKGROUND_PLOT_PORT": str(free_port()),
        MARK: str(directory),
        **more,
    }
    command = ["setsid", *START, "--state-dir", directory / "state"]
    port = int(ports["DEMO_IOC_PORT"])
    return Ioc(directory, port=port, environ=environ, command=command)


def left(directory: Path) -> list[int]:
    """Return the living processes of the demonstration."""
    found = posix.started_with_any(MARK).items()
    return [pid for pid, mark in found if mark == str(directory)]


async def picture(page: Page, width: int, tall: int, path: Path) -> None:
    """Write a picture of a window of this size."""
    size = {**SIZE, "width": width, "height": tall}
    await page.ask("Emulation.setDeviceMetricsOverride", **size)
    shot = await page.ask("Page.captureScreenshot", format="png")
    path.write_bytes(base64.b64decode(shot["data"]))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium: run `make system`")
async def test_what_a_newcomer_sees(tmp_path: Path) -> None:
    """The page has the plot's address, the watchdog's restart, the averager's PVs and the runs."""
    plot, web = free_port(), free_port()
    with demo(
        tmp_path,
        DEMO_FAIL_AFTER="10",
        BACKGROUND_PLOT_PORT=str(plot),
        DEMO_WEB_PORT=str(web),
    ) as ioc:
        url = f"http://127.0.0.1:{web}/"
        ioc.wait_for(f"Web page at {url}")
        # No script has the four lines of libca on a missing caRepeater in its log.
        assert "CA Repeater" not in ioc.wait_for("ZFMAGFLD_01 back online after 1 restart")
        async with browsing(url, tmp_path) as page:
            text = "document.body.innerText"
            # By now the simulated IOC may have failed again.
            watchdog = "/restarting ZFMAGFLD_01|ZFMAGFLD_01 back online after/"
            await page.until(f"{watchdog}.test({text})")
            await page.until(f"{text}.includes('averaging TE:DEMO:CS:SB:Temp_Sample')")
            await page.until("document.querySelector('#counts').textContent === '5 Running'")
            link = "document.querySelector('.links a').href"
            assert await page.evaluate(link) == f"http://127.0.0.1:{plot}/"
            if os.environ.get("BGRSCRPT_WRITE_PICTURES"):
                await picture(page, SIZE["width"], TALL, PICTURE)
            await picture(page, 375, TALL, tmp_path / "telephone.png")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 375
            await page.load(f"{url}instances/BGRSCRPT_03")
            own = "[...document.querySelectorAll('#own tr')].map(e => e.children[0].textContent)"
            await page.until(f"{own}.join() === 'AVERAGE,WINDOW'")
            await page.until("document.querySelectorAll('#history tr').length === 1")
        os.killpg(ioc.process.pid, signal.SIGINT)
        assert ioc.exit_code() == 0
        await asyncio.to_thread(until, lambda: not left(tmp_path))


def test_one_of_the_two_ends(tmp_path: Path) -> None:
    """When the web page is killed, the IOC and its scripts end too."""
    with demo(tmp_path) as ioc:
        ioc.wait_for("Web page at ")
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left(tmp_path)}
        (web,) = (pid for pid, line in commands.items() if b"\0web\0" in line)
        os.kill(web, signal.SIGKILL)
        assert ioc.exit_code() == signal.SIGKILL
        until(lambda: not left(tmp_path))


def test_the_port_of_the_page_is_taken(tmp_path: Path) -> None:
    """Nothing is started, and the message says which port and how to choose another one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path, DEMO_WEB_PORT=str(port)) as ioc:
            assert ioc.exit_code() == 1
    assert f"port {port} is taken" in ioc.output
    assert "DEMO_WEB_PORT=" in ioc.output
    assert "serving" not in ioc.output
