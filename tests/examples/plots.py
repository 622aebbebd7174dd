"""A script with a background plot as a process, and what its server shows."""

from __future__ import annotations

import os
import re
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rig import iocs
from benchmarks.rig.ca import DEADLINE, ca_environ
from benchmarks.rig.where import native
from tests.examples.instrument import EXAMPLES, P
from tests.examples.logged import LoggedPython

BLUE, ORANGE = "#0072b2", "#d55e00"  # of the first and the second line
TEXT = re.compile(r"<text[^>]*>([^<]*)</text>")
SCRIPT = """
import sys, time
sys.path.insert(0, {examples!r})
from technique.muon.background_plot import BackgroundBlockPlot
plot = BackgroundBlockPlot({blocks!r}, "Temperature", interval=0.05).start()
{more}
try:
    while True:
        time.sleep(10)
finally:
    print("finally", flush=True)
"""
BLOCKS = (("Temp_Sample", "value"), ("Temp_SP", "set point"))


def until(condition: Callable[[], Any]) -> Any:
    """Wait for it, also on a machine where matplotlib takes ten times as long as it should."""
    return iocs.until(condition, timeout=60.0)


class Plot(LoggedPython):
    """A script that plots the two blocks of the instrument at `port`."""

    def __init__(self, directory: Path, port: int, more: str = "", blocks: Any = BLOCKS) -> None:
        """Start it. Its points, log and caches are in the directory."""
        directory.mkdir(exist_ok=True)
        self.points = directory / "background_plot_data_01.csv"
        text = SCRIPT.format(examples=str(EXAMPLES), more=more, blocks=blocks)
        environ = ca_environ(port, **plot_environ(directory, MYPVPREFIX=P))
        super().__init__(directory / "log", text, environ=environ, cwd=Path.cwd())

    def url(self, number: int = 0) -> str:
        """Where its plot is to be seen."""
        return until(lambda: urls(self.output)[number:])[0]

    def until(self, condition: Callable[[list[str]], Any]) -> Any:
        """Wait until the texts of the picture are so."""
        url = self.url()
        return until(lambda: condition(texts(url)))

    def until_rows(self, count: int) -> list[str]:
        """Wait until so many points are on file; all of them."""
        return until(lambda: len(found := self.rows()) >= count and found)

    def rows(self) -> list[str]:
        """The points on file."""
        if not self.points.exists():
            return []
        return [line for line in self.points.read_text().splitlines() if line[0] != "#"]

    def end(self) -> None:
        """As STOP does it: a SIGINT."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(DEADLINE)


def plot_environ(directory: Path, **more: str) -> dict[str, str]:
    """Everything of a plot in this directory, at ports that nobody else has."""
    caches = Path(os.environ.get("MPLCONFIGDIR", directory / "matplotlib"))
    return {
        "BACKGROUND_PLOT_DIR": native(directory),
        "BACKGROUND_PLOT_PORT": "0",
        "MPLCONFIGDIR": native(caches),
        **more,
    }


def urls(output: str) -> list[str]:
    """The addresses of plots that a script has told of."""
    return re.findall(r"started at (http://[\d.:]+)", output)


def fetched(url: str) -> str:
    """A page of the server."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return answer.read().decode()


def texts(url: str) -> list[str]:
    """All texts of the picture."""
    return TEXT.findall(fetched(f"{url}/1/download.svg"))
