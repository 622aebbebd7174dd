"""An example as a process of its own, without an IOC: what it prints, and how it ends."""

from __future__ import annotations

from pathlib import Path

from benchmarks.rig.ca import ca_environ
from bgrscrpt_ioc.process.order import BOOTSTRAP
from tests.examples.instrument import EXAMPLES, P
from tests.examples.logged import LoggedPython

# What an example needs that the IOC gives it; `alive()` prints a line.
STANDS_IN = """
import sys, types
import bgrscrpt
bgrscrpt.alive = lambda: print("alive", flush=True)
bgrscrpt.message = lambda text: None
helpers = types.ModuleType("server_common.helpers")
helpers.register_ioc_start = lambda *_, **__: None
sys.modules["server_common"] = types.ModuleType("server_common")
sys.modules["server_common.helpers"] = helpers
sys.path.insert(0, {examples!r})
"""
LIBCA = ("****", "Unexpected problem with CA circuit")
RUN = "import runpy\nrunpy.run_path({example!r}, run_name='__main__')\n"


class Alone(LoggedPython):
    """`python example.py`, or a script that imports it, with what `before` does first."""

    def __init__(
        self, log: Path, port: int, *, example: str = "", before: str = "", **environ: str
    ) -> None:
        """Start it. `port` is where its PVs are."""
        text = STANDS_IN.format(examples=str(EXAMPLES)) + before
        if example:
            text += RUN.format(example=str(EXAMPLES / example))
        given = {
            "MYPVPREFIX": P,
            "BGRSCRPT_NAME": "BGRSCRPT_01",
            "KIT_ROOT": "/nowhere",
            "HOME": str(log.parent),
            **environ,
        }
        environment = ca_environ(port, **given)
        environment["PYTHONPATH"] = str(BOOTSTRAP.parent)
        super().__init__(log, text, "-u", environ=environment, cwd=log.parent)

    @property
    def said(self) -> list[str]:
        """What it has printed, but for the heartbeats and what libca prints."""
        lines = self.output.splitlines()
        return [line for line in lines if line != "alive" and not line.startswith(LIBCA)]

    @property
    def beats(self) -> int:
        """How often it has called `alive()`."""
        return self.output.count("alive\n")
