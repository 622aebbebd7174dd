"""Values that a script publishes, beside pythonSoftIOC and caproto's own server: one run of each.

`python -m benchmarks.published`. The client is libca; what a server takes is its process's time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.kit import Row, percentile, table, until
from benchmarks.neighbours import ATTACKER, begin, reads, served
from benchmarks.rates import answers
from benchmarks.raw import DOUBLE, EVENT_ADD, Raw
from benchmarks.rig.ca import HERE, ca_environ, free_port
from benchmarks.rig.iocs import Ioc
from benchmarks.rig.value_script import MANY

SECONDS = 4.0
SCRIPT = HERE / "value_script.py"
PEERS = ("softioc", "caproto")
NAMES = {"softioc": "pythonSoftIOC", "caproto": "caproto"}
MANY_PVS = f"""
import time, bgrscrpt
pvs = [bgrscrpt.pv("M%d" % each, 0.0) for each in range({MANY})]
due = time.monotonic()
while True:
    for pv in pvs:
        pv.set(due)
    due += 0.1
    time.sleep(max(0.0, due - time.monotonic()))
"""
PATH = str(Path(__file__).parents[1])


@contextmanager
def serving(server: str, mode: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run a server that publishes; its port and process."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bgr-")))
        if server == "ours":
            environ = {"SERVER": server, "MODE": mode}
            arguments = (SCRIPT, "--prefix", "TE:", "--no-echo")
            ioc = stack.enter_context(Ioc(directory, *arguments, environ=environ)).ready()
            yield ioc.port, psutil.Process(ioc.process.pid)
            return
        port = free_port()
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, str(SCRIPT), server, mode],
            env=ca_environ(port),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: answers(port, "W"), server)
            yield port, psutil.Process(process.pid)
        finally:
            process.kill()
            process.communicate()


def seen(server: str, mode: str) -> dict[str, float]:
    """Watch a server that publishes: rate (1/s), p50 and p99 (s), and cpu (% of a core)."""
    with serving(server, mode) as (port, process):
        watching = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, str(HERE / "value_client.py"), mode, str(SECONDS)],
            env=ca_environ(port, PYTHONPATH=PATH),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        if watching.stdout is None:
            raise RuntimeError("Popen gave no pipe")
        watching.stdout.readline()
        before = sum(process.cpu_times()[:2])
        found = json.loads(watching.stdout.readline())
        took = sum(process.cpu_times()[:2]) - before
        watching.communicate()
    return {**found, "cpu": 100 * took / SECONDS}


def rows() -> list[Row]:
    """Latency, rate, 1,000 PVs, a long array, puts."""
    figures = (
        ("one", "p50", 1000, "latency of an update, p50", "ms", "<= 2 ms"),
        ("flood", "rate", 1, "updates a second of one PV, set without end (ours: 100)", "1/s", ""),
        ("flood", "p50", 1000, "their age, p50", "ms", ""),
        ("many", "cpu", 1, "1,000 PVs at 10 Hz: CPU of the server", "%", "<= 25 %"),
        ("many", "rate", 1, "1,000 PVs at 10 Hz: updates a second", "1/s", "9,900"),
        ("array", "cpu", 1, "100,000 doubles at 10 Hz: CPU of the server", "%", "<= 15 %"),
        ("put", "p50", 1000, "put, on_put, completion, p50", "ms", ""),
    )
    measured: dict[tuple[str, str], dict[str, float]] = {}
    for mode in dict.fromkeys(each[0] for each in figures):
        for server in ("ours", *PEERS):
            measured[server, mode] = seen(server, mode)
    found = [
        Row(
            figure,
            unit,
            times * measured["ours", mode][key],
            {NAMES[each]: times * measured[each, mode][key] for each in PEERS},
            goal,
        )
        for mode, key, times, figure, unit, goal in figures
    ]
    return [*found, others()]


def others() -> Row:
    """Measure gets of another instance while 1,000 PVs are set and watched at 10 Hz."""
    with served(MANY_PVS) as (ioc, client):
        reads(client, 0.5)
        before, _ = reads(client, SECONDS)
        begin(client, "a script that only spins")
        client.connect(f"{ATTACKER}M{MANY - 1}")
        with watching(ioc.port, [f"{ATTACKER}M{each}" for each in range(MANY)]):
            meanwhile, other = reads(client, SECONDS)
    return Row(
        "1,000 PVs at 10 Hz: a get of another instance, p99",
        "ms",
        percentile(meanwhile, 0.99),
        {"before": percentile(before, 0.99), "another IOC meanwhile": percentile(other, 0.99)},
        "<= 2",
    )


@contextmanager
def watching(port: int, pvs: Sequence[str]) -> Iterator[None]:
    """Have a client that has monitors of all PVs, and takes what comes."""
    with Raw(port) as client:
        for sid in client.create(*pvs):
            client.subscribe(sid, DOUBLE)
        client.count(EVENT_ADD, len(pvs))
        ended = threading.Event()

        def take() -> None:
            with suppress(OSError):
                while not ended.is_set():
                    client.socket.recv(1 << 16)

        taking = threading.Thread(target=take)
        taking.start()
        try:
            yield
        finally:
            ended.set()
            taking.join()


if __name__ == "__main__":
    print(table(rows()))
