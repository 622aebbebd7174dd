"""Measures an IOC on Windows by libca of this host: `python -m tests.windows.figures`.

With BGRSCRPT_TEST_WINDOWS set, as `make test-windows` sets it. Compare only with figures of the
same hour: Wine's server is one process, and shares the machine with everything else.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.rig.iocs import until
from tests.windows.across.conftest import FOREVER, Bench, P

ROUNDS = 10
LINES = 50_000
IDLE = 10.0  # s


def seconds(act: Callable[[], object]) -> float:
    """Return how long it takes."""
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def spent(directory: Path) -> float:
    """Return the processor seconds of the IOC's own process, and of Wine's server for it."""
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


def measure(bench: Bench) -> None:
    """Print all figures."""
    begun = time.monotonic()
    client = bench.run(FOREVER, "--no-echo")
    client.connect(P + "STATUS")
    print(f"serving and found: {time.monotonic() - begun:.2f} s after the start")
    times: dict[str, list[float]] = {"START": [], "CHECK": [], "RESTART": [], "STOP": []}
    for _ in range(ROUNDS):
        for name, found in times.items():
            found.append(seconds(lambda name=name: client.put_callback(P + name)))
    for name, found in times.items():
        print(f"{name}: {statistics.median(found):.3f} s, at most {max(found):.3f} s")
    count = 500
    took = seconds(lambda: [client.get(P + "STATUS") for _ in range(count)])
    print(f"gets, one after the other: {count / took:.0f} a second")
    client.put_callback(P + "START")
    before = spent(bench.directory)
    time.sleep(IDLE)
    print(f"idle, one script: {100 * (spent(bench.directory) - before) / IDLE:.1f} % of a core")
    client.put_callback(P + "STOP")
    bench.script.write_text(f"for n in range({LINES}):\n    print('line', n)\n")
    begun = time.monotonic()
    client.put_callback(P + "START")
    already = client.get(P + "LOG:COUNT")
    until(lambda: client.get(P + "LOG:COUNT") >= LINES, timeout=300)
    took = time.monotonic() - begun
    print(
        f"lines: {(LINES - already) / took:.0f} a second, dropped {client.get(P + 'LOG:DROPPED')}"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        measure(Bench(Path(place), stack))
