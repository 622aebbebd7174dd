"""Signals to the IOC's own process."""

from __future__ import annotations

import subprocess
import sys

STORM = """
import asyncio, os, signal
from bgrscrpt_ioc.host.posix.reaper import Reaper
from bgrscrpt_ioc.host.posix.signals import on_end_asked

async def main():
    asked = asyncio.Event()
    on_end_asked(asked.set)
    Reaper().start()
    for _ in range(2000):  # in one turn of the loop, as when the children of a whole tree die
        os.kill(os.getpid(), signal.SIGCHLD)
    os.kill(os.getpid(), signal.SIGTERM)
    await asked.wait()

asyncio.run(main())
"""


def test_a_storm_of_deaths_loses_no_signal() -> None:
    """However many children die at once, SIGTERM is heard, and nothing is written on stderr."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", STORM], capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
