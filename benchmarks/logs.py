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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.kit import Row, Stamps, median, now, percentile, table, until
from benchmarks.peers import PREFIX, PV, Circus, ProcServ, Supervisor, bench
from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import Ioc

ROUNDS = 3
IDLE = 1.0  # s
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


@dataclass
class Found:
    """What was measured in all rounds."""

    took: list[float] = field(default_factory=list)  # s
    spent: list[float] = field(default_factory=list)  # s of CPU of the IOC
    idle: list[float] = field(default_factory=list)  # ms of each read of STATUS
    beside_a_file: list[float] = field(default_factory=list)  # while the script prints to a file
    busy: list[float] = field(default_factory=list)


def to_us(buffer: str, found: Found) -> None:
    """Measure a round.

    Raises:
        RuntimeError: a line was lost.
    """
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        directory = Path(name)
        stamps = Stamps(directory / "stamps")
        script = stamps.script(directory / "script.py", text(buffer, LINES))
        options = ("--prefix", PREFIX, "--no-echo", "--at-start", "stop")
        with Ioc(directory, script, *options) as ioc:
            ioc.ready()
            with Client(ioc.port) as client, Client(ioc.port) as reader:
                process = psutil.Process(ioc.process.pid)
                with reading(reader, found.idle):
                    time.sleep(IDLE)
                with reading(reader, found.beside_a_file):
                    to_a_file(buffer)
                spent = sum(process.cpu_times()[:2])
                began = now()
                client.put(f"{PV}START", 1)
                stamps.wait("begins", began)
                with reading(reader, found.busy):
                    ended = stamps.wait("has printed", began)
                found.took.append(ended - stamps.wait("begins", began))
                until(lambda: client.get(f"{PV}LOG:COUNT") >= LINES, "all lines are counted")
                found.spent.append(sum(process.cpu_times()[:2]) - spent)
        kept = sum(log.read_text().count(LINE) for log in (directory / "state/log").iterdir())
        if kept != LINES:
            raise RuntimeError(f"{LINES - kept} lines were lost")


@contextmanager
def reading(client: Client, found: list[float]) -> Iterator[None]:
    """Read STATUS every 2 ms meanwhile; ms of each."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            client.get(f"{PV}STATUS")
            found.append(1000 * (time.perf_counter() - began))
            time.sleep(0.002)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def rows() -> Iterator[Row]:
    """Measure."""
    for buffer in BUFFERS:
        found, files = Found(), list[float]()
        for _ in range(ROUNDS):
            files.append(to_a_file(buffer))
            to_us(buffer, found)
        peers = {"a file": median(files)}
        peers |= {kind.name: to_a_peer(kind, buffer) for kind in (ProcServ, Supervisor, Circus)}
        yield Row(f"a million lines, {buffer}", "s", median(found.took), peers, "<= 1.1")
        yield Row(f"CPU of the IOC for them, {buffer}", "s", median(found.spent), {}, "<= 0.7 s")
        others = {
            "idle": percentile(found.idle, 0.99),
            "the script prints to a file": percentile(found.beside_a_file, 0.99),
        }
        ours = percentile(found.busy, 0.99)
        yield Row(f"a get of STATUS meanwhile, 99 %, {buffer}", "ms", ours, others, "<= 2")


if __name__ == "__main__":
    print(table(rows()))
