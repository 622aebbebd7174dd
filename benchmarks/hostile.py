"""How long a get of STATUS takes a libca client, a process of its own, while the script is hostile.

`python -m benchmarks.hostile`: a table of one run; ms, and the IOC's memory before and after.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import psutil

from tests.faults.scripts import HOSTILE, MAIN, WAIT
from tests.ioc.ca import Client
from tests.ioc.iocs import Ioc

SECONDS = 6.0
STATUS = "TE:BGRSCRPT_01:STATUS"
GIGABYTE = (
    MAIN
    + "line = b'0123456789' * 9 + b'\\n'\nfor _ in range(11000):\n"
    + ("    os.write(1, line * 1000)\n" + WAIT)
)
ATTACKS = {
    "idle": (HOSTILE["stopped"], ()),
    "1 GB of output": (GIGABYTE, ()),
    "binary output": (HOSTILE["binary output"], ()),
    "forged messages": (HOSTILE["forger"], ()),
    "memory hog": (HOSTILE["memory hog"], ("--memory-max", "150M")),
    "processor hog": (HOSTILE["cpu hog"], ("--cpu-max", "50")),
    "descriptor hog": (HOSTILE["descriptor hog"], ("--nofile-max", "64")),
    "fork bomb": (HOSTILE["fork bomb"], ("--nproc-max", "30")),
}


def main() -> None:
    """Measure and print."""
    print("| script | reads | median ms | 99 % ms | worst ms | IOC MB before | after |")
    print("|---|---|---|---|---|---|---|")
    for name, (text, options) in ATTACKS.items():
        directory = Path(tempfile.mkdtemp(prefix="bgr-"))
        script = directory / "script.py"
        script.write_text(text)
        limits = ("--no-echo", "--at-start", "stop", "--stop-timeout", "1", *options)
        with (
            Ioc(directory, script, "--prefix", "TE:", *limits).ready() as ioc,
            Client(ioc.port) as client,
        ):
            memory = psutil.Process(ioc.process.pid).memory_info
            client.get(STATUS)
            before = memory().rss / 1e6
            client.put("TE:BGRSCRPT_01:START", 1)
            found: list[float] = []
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                began = time.perf_counter()
                client.get(STATUS)
                found.append(1000 * (time.perf_counter() - began))
            client.put_callback("TE:BGRSCRPT_01:STOP", 1)
            found.sort()
            centile, median = found[int(0.99 * len(found))], statistics.median(found)
            print(
                f"| {name} | {len(found)} | {median:.2f} | {centile:.2f} | {found[-1]:.1f}"
                f" | {before:.0f} | {memory().rss / 1e6:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
