"""Makes the pictures of the screens for the documents: `python -m tests.screens.pictures`.

It runs an IOC with five instances, each in another state, and writes docs/images/screen.png and
docs/images/overview.png. Needs `make install screens system`. Run it after a change of a screen.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from pathlib import Path

from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import COMMAND, Ioc, until
from bgrscrpt_ioc.lifecycle.events import State
from tests.screens.drawn import picture

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
P = "TE:NDW1234:"
PLOT = """\
import time
import bgrscrpt

bgrscrpt.message("Plotting Temp_Sample against Temp_SP; 1250 points, run 61234")
time.sleep(10000)
"""
WATCH = """\
print("watching", flush=True)

field = "TE:NDW1234:CS:SB:Field_ZF"
raise RuntimeError(f"no answer from {field} after 30 s; the block is disconnected")
"""
HUNG = "import time\nimport bgrscrpt\n\nbgrscrpt.alive()\ntime.sleep(10000)\n"
SETTINGS = f"""
prefix = "{P}"
[defaults]
python = "/usr/bin/python3"
[instance.BGRSCRPT_01]
script = "plot.py"
[instance.BGRSCRPT_02]
script = "watch.py"
start_limit = 1
[instance.BGRSCRPT_03]
script = "hung.py"
heartbeat_timeout = 2
[instance.BGRSCRPT_04]
script = "plot.py"
at_start = "stop"
[instance.BGRSCRPT_05]
script = "watch.py"
backoff = 300
backoff_max = 300
"""
STATES = {
    "BGRSCRPT_01": State.RUNNING,
    "BGRSCRPT_02": State.FAILED,
    "BGRSCRPT_03": State.RUNNING,
    "BGRSCRPT_04": State.STOPPED,
    "BGRSCRPT_05": State.BACKOFF,
}
UPTIME = 15.0  # s that the pictures show, at least


def make(site: Path) -> None:
    """Write both pictures, by an IOC in the directory `site`."""
    for name, text in (("plot.py", PLOT), ("watch.py", WATCH), ("hung.py", HUNG)):
        (site / name).write_text(text)
    settings = site / "site.toml"
    settings.write_text(SETTINGS)
    screens = site / "screens"
    command = [*COMMAND, "deploy", "screens", "--config", settings, "--write", screens]
    subprocess.run(command, check=True)
    with Ioc(site, "--config", settings) as ioc:
        ioc.ready()
        with Client(ioc.port) as client:
            until(lambda: all(client.get(f"{P}{name}:STATUS") == STATES[name] for name in STATES))
            until(lambda: client.text(f"{P}BGRSCRPT_03:STATUS:MSG").startswith("no heartbeat"))
            until(lambda: float(client.get(f"{P}BGRSCRPT_01:UPTIME")) > UPTIME)
        one = {"P": P, "NAME": "BGRSCRPT_02"}
        asyncio.run(picture(screens / "bgrscrpt.bob", IMAGES / "screen.png", ioc.port, one))
        many = screens / "bgrscrpt_overview.bob"
        asyncio.run(picture(many, IMAGES / "overview.png", ioc.port, {}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        site = Path(directory, "instrument")
        site.mkdir()
        make(site)
