"""Measures an IOC under Wine and an IOC on Linux, with one client on this host, over libca.

`python -m tests.windows.figures .venv/windows` writes the table of docs/explanations/windows.md.
Both are measured in the same minutes, because only figures of the same hour compare: Wine's server
is one process, and shares the machine with everything else.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.__main__ import filled
from benchmarks.kit import shown
from benchmarks.rig import where
from benchmarks.rig.iocs import until
from tests.windows.across.conftest import FOREVER, Bench, P

PAGE = Path(__file__).parents[2] / "docs" / "explanations" / "windows.md"
ONE = "--one"  # measure one IOC, and print it for the program that measures both
ROUNDS = 10
GETS = 500
LINES = 50_000
IDLE = 10.0  # s


def seconds(act: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def spent(directory: Path) -> float:
    """Return the processor seconds of the IOC's own process, which Wine does not tell truly."""
    total = 0
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes()
            if b"bgrscrpt_ioc\0run" in line and b"console.py" not in line:
                at = Path(os.readlink(process / "cwd"))  # noqa: PTH115 - text
                if not at.is_relative_to(directory):
                    continue
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


def measure(bench: Bench) -> dict[str, float]:
    """Return the figures of one IOC, by name."""
    begun = time.monotonic()
    client = bench.run(FOREVER, "--no-echo")
    client.connect(P + "STATUS")
    figures = {"start of the IOC, to a client's first answer, s": time.monotonic() - begun}
    times: dict[str, list[float]] = {"START": [], "CHECK": [], "RESTART": [], "STOP": []}
    for _ in range(ROUNDS):
        for name, found in times.items():
            found.append(seconds(lambda name=name: client.put_callback(P + name)))
    for name, found in times.items():
        figures[f"{name}, until it is done, ms"] = 1000 * statistics.median(found)
    took = seconds(lambda: [client.get(P + "STATUS") for _ in range(GETS)])
    figures["gets of one client, a second"] = GETS / took
    client.put_callback(P + "START")
    before, begun = spent(bench.directory), time.monotonic()
    time.sleep(IDLE)
    used = (spent(bench.directory) - before) / (time.monotonic() - begun)
    figures["CPU of the IOC while a script sleeps, % of a core"] = 100 * used
    client.put_callback(P + "STOP")
    bench.script.write_text(f"for n in range({LINES}):\n    print('line', n)\n")
    before = client.get(P + "LOG:COUNT")
    begun = time.monotonic()
    client.put_callback(P + "START")
    until(lambda: client.get(P + "LOG:COUNT") >= before + LINES, timeout=300)
    figures["lines that a script prints and LOG:COUNT has, a second"] = LINES / (
        time.monotonic() - begun
    )
    figures["lines dropped"] = client.get(P + "LOG:DROPPED")
    return figures


def one() -> None:
    """Measure the IOC that the environment asks for, and print the figures as JSON."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        if where.WINDOWS:
            where.census()  # else Wine itself may end, and start anew, between two programs
            stack.callback(where.census().kill)
        print(json.dumps(measure(Bench(Path(place), stack))))


def both(windows: str) -> None:
    """Measure both IOCs, print the table, and write it into the page."""
    command = [sys.executable, "-m", "tests.windows.figures", ONE]
    found: list[dict[str, float]] = []
    for environ in ({"BGRSCRPT_TEST_WINDOWS": windows}, {}):
        told = subprocess.run(
            command, env={**os.environ, **environ}, stdout=subprocess.PIPE, check=True
        )
        found.append(json.loads(told.stdout))
    wine, linux = found
    lines = ["| figure | under Wine | on Linux |", "|---|---|---|"]
    lines += [f"| {name} | {shown(wine[name])} | {shown(linux[name])} |" for name in wine]
    host = f"Measured on {time.strftime('%Y-%m-%d')} on a host with {os.cpu_count()} cores"
    host += f" and a load of {os.getloadavg()[0]:.0f}."
    text = "\n".join(lines)
    print(text)
    PAGE.write_text(filled(PAGE.read_text("utf-8"), "figures", f"{host}\n\n{text}"), "utf-8")


if __name__ == "__main__":
    one() if sys.argv[1:] == [ONE] else both(sys.argv[1])
