"""The screens as an operator sees them: drawn in real Chromium, with the PVs of a real IOC.

By cs-web-lib, which reads Phoebus's files; it is not Phoebus. What it cannot do (a dialog that asks
back, scrolling, h:mm:ss) is tested in the file, by tests/unit/test_screen.py.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import COMMAND, Ioc
from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.records.screens import COLOURS, ORANGE, Colour
from tests.examples.browser import Page
from tests.screens.drawn import BUNDLE, drawn, until_shown

pytestmark = [
    pytest.mark.skipif(not BUNDLE.exists(), reason=f"no {BUNDLE}: run `make screens`"),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium: run `make system`"),
]
DB = Path(__file__).parents[2] / "db"
P = "TE:NDW1234:"
GOOD = """
import bgrscrpt, time
bgrscrpt.message("running: plot of Temp_Sample")
print("first line\\nsecond line", flush=True)
time.sleep(1000)
"""
BAD = "raise RuntimeError('the magnet does not answer')\n"
HUNG = "import bgrscrpt, time\nbgrscrpt.alive()\ntime.sleep(1000)\n"
CONFIG = f"""
prefix = "{P}"
[instance.GOOD]
script = "good.py"
[instance.BAD]
script = "bad.py"
start_limit = 1
[instance.HUNG]
script = "hung.py"
heartbeat_timeout = 0.5
"""


@pytest.fixture
def overview(ioc: Ioc, tmp_path: Path) -> Path:
    """Return the overview that `deploy screens` writes."""
    command = [*COMMAND, "deploy", "screens", "--config", ioc.directory / "site.toml"]
    subprocess.run([*command, "--write", tmp_path], capture_output=True, check=True)
    return tmp_path / "bgrscrpt_overview.bob"


@pytest.fixture(scope="module")
def ioc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ioc]:
    """An IOC with a script that runs, one that has failed, and one that hangs."""
    directory = tmp_path_factory.mktemp("site")
    for name, text in (("good.py", GOOD), ("bad.py", BAD), ("hung.py", HUNG)):
        (directory / name).write_text(text)
    (directory / "site.toml").write_text(CONFIG)
    with Ioc(directory, "--config", directory / "site.toml") as started:
        started.ready()
        yield started


async def behind(page: Page, text: str) -> str:
    """Return the colour behind a text."""
    return await page.evaluate(
        f"""getComputedStyle([...document.querySelectorAll("textarea, input")]
        .find(e => e.value === {text!r}).parentElement).backgroundColor"""
    )


def css(colour: Colour) -> str:
    """Return a colour in the notation of a browser."""
    return f"rgb({', '.join(map(str, colour))})"


async def test_screen_of_an_instance(ioc: Ioc, tmp_path: Path) -> None:
    """With the macros P and NAME, the screen shows this instance, and its button acts on it."""
    screen = DB / "bgrscrpt.bob"
    async with drawn(screen, {"P": P, "NAME": "BAD"}, ioc.port, tmp_path) as page:
        found = await until_shown(page, "the magnet does not answer", "Traceback", f"{P}BAD")
        assert not [text for text in found if "BGRSCRPT_01" in text]
        assert "Failed" in found
        assert await behind(page, "Failed") == css(COLOURS[State.FAILED])
    async with drawn(screen, {"P": P, "NAME": "GOOD"}, ioc.port, tmp_path) as page:
        await until_shown(page, "first line\nsecond line", "running: plot of Temp_Sample")
        assert await behind(page, "Running") == css(COLOURS[State.RUNNING])
        with Client(ioc.port) as client:
            starts = client.get(f"{P}GOOD:STARTS")
            await page.evaluate(
                """[...document.querySelectorAll("button")]
                .find(e => e.innerText.toLowerCase() == "restart").click()"""
            )
            while client.get(f"{P}GOOD:STARTS") == starts:
                await asyncio.sleep(0.05)


async def test_overview_of_a_site(ioc: Ioc, overview: Path, tmp_path: Path) -> None:
    """The overview of `deploy screens` shows each instance in its colour, a hung one too."""
    async with drawn(overview, {}, ioc.port, tmp_path) as page:
        found = await until_shown(page, "Failed", "no heartbeat", "plot of Temp_Sample")
        assert {"GOOD", "BAD", "HUNG"} <= set(found)
        colours = await page.evaluate(
            """[...document.querySelectorAll("textarea, input")]
            .filter(e => ["Running", "Failed"].includes(e.value))
            .map(e => getComputedStyle(e.parentElement).backgroundColor)"""
        )
        for colour in (COLOURS[State.RUNNING], COLOURS[State.FAILED], ORANGE):
            assert css(colour) in colours


async def test_shipped_overview(ioc: Ioc, tmp_path: Path) -> None:
    """The overview that is installed takes the macro P; instances that do not exist stay empty."""
    async with drawn(DB / "bgrscrpt_overview.bob", {"P": P}, ioc.port, tmp_path) as page:
        await page.until(f"document.body.innerText.includes('Background scripts of {P}')")
        assert await page.until("document.body.innerText.includes('BGRSCRPT_08')")
