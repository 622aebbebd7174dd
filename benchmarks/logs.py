"""A million lines of 80 characters: how long the script takes, and what it costs the IOC.

`python -m benchmarks.logs`. The first peer is the same script with its output in a plain file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks.kit import Row, Stamps, now, percentile, table, until
from benchmarks.peers import PREFIX, PV, Circus, ProcServ, Supervisor, bench
from tests.ioc.ca import Client
from tests.ioc.iocs import Ioc

LINES = 1_000_000
PEER_LINES = 100_000  # those that take longer than anybody would wait
LINE = "x" * 80
BUFFERS = {
    "unbuffered": "out = sys.stdout",  # as of `python -u`
    "line-buffered": "out = open(1, 'w', buffering=1, closefd=False)",
    "block-buffered": "out = open(1, 'w', closefd=False)",
}
SCRIPT = """
import sys
{buffer}
stamp("begins")
for _ in range({lines}):
    print("{line}", file=out)
out.flush()
stamp("has printed")
while True:
    time.sleep(1000)
"""


def text(buffer: str, lines: int) -> str:
    """The script, for `Stamps.script`."""
    return SCRIPT.format(buffer=BUFFERS[buffer], lines=lines, line=LINE)


def to_a_file(buffer: str) -> float:
    """Seconds that the script takes with its output in a file."""
    with tempfile.TemporaryDirectory(prefix="bgr-") as name, ExitStack() as stack:
        directory = Path(name)
        stamps = Stamps(directory / "stamps")
        script = stamps.script(directory / "script.py", text(buffer, LINES))
        out = stack.enter_context((directory / "out").open("wb"))
        process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-u", str(script)], stdout=out, stdin=subprocess.DEVNULL
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return stamps.wait("has printed", 0) - stamps.wait("begins", 0)


def to_a_peer(kind: type[ProcServ] | type[Supervisor] | type[Circus], buffer: str) -> float:
    """Seconds that a million lines would take at the pace of a tenth of them."""
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        directory = Path(name)
        stamps = Stamps(directory / "stamps")
        script = stamps.script(directory / "script.py", text(buffer, PEER_LINES))
        with kind(bench("python"), script, directory):
            took = stamps.wait("has printed", 0) - stamps.wait("begins", 0)
            return took * LINES / PEER_LINES


def to_us(buffer: str) -> tuple[float, float, list[float], list[float]]:
    """Seconds that it takes, and seconds of CPU of the IOC; ms of reads of STATUS, idle and then.

    Raises:
        RuntimeError: a line was lost.
    """
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        directory = Path(name)
        stamps = Stamps(directory / "stamps")
        script = stamps.script(directory / "script.py", text(buffer, LINES))
        with (
            Ioc(directory, script, "--prefix", PREFIX, "--no-echo", "--at-start", "stop") as ioc,
        ):
            ioc.ready()
            with Client(ioc.port) as client, Client(ioc.port) as reader:
                process = psutil.Process(ioc.process.pid)
                idle = reads(reader, 2.0)
                spent = sum(process.cpu_times()[:2])
                began = now()
                client.put(f"{PV}START", 1)
                stamps.wait("begins", began)
                busy: list[float] = []
                stop = threading.Event()
                thread = threading.Thread(target=read_until, args=(reader, stop, busy))
                thread.start()
                took = stamps.wait("has printed", began) - stamps.wait("begins", began)
                stop.set()
                thread.join()
                until(lambda: client.get(f"{PV}LOG:COUNT") >= LINES, "all lines are counted")
                spent = sum(process.cpu_times()[:2]) - spent
        kept = sum(log.read_text().count(LINE) for log in (directory / "state/log").iterdir())
        if kept != LINES:
            raise RuntimeError(f"{LINES - kept} lines were lost")
        return took, spent, idle, busy


def reads(client: Client, seconds: float) -> list[float]:
    """Read STATUS for so long; ms of each."""
    stop, found = threading.Event(), list[float]()
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    read_until(client, stop, found)
    return found


def read_until(client: Client, stop: threading.Event, found: list[float]) -> None:
    """Read STATUS every 10 ms."""
    while not stop.is_set():
        began = time.perf_counter()
        client.get(f"{PV}STATUS")
        found.append(1000 * (time.perf_counter() - began))
        time.sleep(0.01)


def rows() -> Iterator[Row]:
    """Measure."""
    for buffer in BUFFERS:
        plain = to_a_file(buffer)
        took, spent, idle, busy = to_us(buffer)
        peers = {"a file": plain, "a file, again": to_a_file(buffer)}
        peers |= {kind.name: to_a_peer(kind, buffer) for kind in (ProcServ, Supervisor, Circus)}
        yield Row(f"a million lines, {buffer}", "s", took, peers, "<= 1.1")
        yield Row(f"CPU of the IOC for them, {buffer}", "s", spent, {}, "<= 0.7 s")
        quiet = {"idle": percentile(idle, 0.99)}
        yield Row(f"STATUS meanwhile, 99 %, {buffer}", "ms", percentile(busy, 0.99), quiet, "<= 5")


if __name__ == "__main__":
    print(table(rows()))
