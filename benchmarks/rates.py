"""Gets, puts and monitors per second, and how long they take: this IOC, caproto's server, C.

`python -m benchmarks.rates`. The first peer is a bare caproto IOC, the second EPICS's C engine.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kit import Row, median, percentile, table, until
from benchmarks.raw import CHAR, ENUM, EVENT_ADD, READ_NOTIFY, TIME, WRITE_NOTIFY, Raw
from benchmarks.rig.ca import HERE, ca_environ, free_port
from benchmarks.rig.iocs import FOREVER, Ioc

PV = "TE:BGRSCRPT_01:"
ROUNDS = 5
SECONDS = 0.4  # of each round
IN_FLIGHT = 64
TEMPLATE = Path(__file__).parents[1] / "db" / "bgrscrpt.template"


@contextmanager
def ours() -> Iterator[int]:
    """This IOC, its script running; its port."""
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        script = Path(name) / "script.py"
        script.write_text(FOREVER)
        with Ioc(Path(name), script, "--prefix", "TE:", "--no-echo") as ioc:
            ioc.ready()
            yield ioc.port


@contextmanager
def bare(count: int = 1) -> Iterator[int]:
    """The server of caproto itself; its port."""
    with serving([sys.executable, "-m", "benchmarks.bare", str(count)]) as port:
        yield port


@contextmanager
def engine() -> Iterator[int]:
    """EPICS's C engine with our database; its port."""
    peer = str(HERE / "softioc_peer.py")
    with serving([sys.executable, peer, str(TEMPLATE), "P=TE:,NAME=BGRSCRPT_01"]) as port:
        yield port


@contextmanager
def serving(command: list[str]) -> Iterator[int]:
    """A server as a process of its own, once it answers."""
    port = free_port()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        env=ca_environ(port, PYTHONPATH=str(Path.cwd())),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(port), f"{command} serves")
        yield port
    finally:
        process.kill()
        process.communicate()


def answers(port: int, name: str = "STATUS") -> bool:
    """Does anybody serve this PV there?"""
    try:
        with Raw(port) as client:
            client.create(f"{PV}{name}")
    except OSError:
        return False
    return True


def rate(step: Callable[[], int]) -> float:
    """How often a second, of what `step` counts."""
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        done += step()
    return done / (time.perf_counter() - began)


def single(port: int, name: str, kind: int, count: int = 1) -> list[float]:
    """One get at a time; us of each."""
    with Raw(port) as client:
        (sid,) = client.create(PV + name)
        request, found, end = client.get(sid, kind, count), [], time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            began = time.perf_counter()
            client.socket.sendall(request)
            client.message()
            found.append(1e6 * (time.perf_counter() - began))
        return found[10:]


def pipelined(port: int) -> float:
    """Gets with 64 in flight, per second."""
    with Raw(port) as client:
        (sid,) = client.create(f"{PV}STATUS")
        request = client.get(sid, TIME + ENUM) * IN_FLIGHT

        def step() -> int:
            client.socket.sendall(request)
            client.count(READ_NOTIFY, IN_FLIGHT)
            return IN_FLIGHT

        return rate(step)


def puts(port: int, in_flight: int) -> float:
    """Puts with callback to AUTORESTART, per second."""
    with Raw(port) as client:
        (sid,) = client.create(f"{PV}AUTORESTART")
        requests = [
            b"".join(client.put(sid, (first + number) % 2, number) for number in range(in_flight))
            for first in (0, 1)
        ]

        def step() -> int:
            for request in requests:  # each put changes the value
                client.socket.sendall(request)
                client.count(WRITE_NOTIFY, in_flight)
            return 2 * in_flight

        return rate(step)


def switched_on(client: Raw) -> int:
    """The sid of AUTORESTART, which is 1 now: a put of 0 changes it."""
    (sid,) = client.create(f"{PV}AUTORESTART")
    client.socket.sendall(client.put(sid, 1, 0))
    client.count(WRITE_NOTIFY, 1)
    return sid


def to_monitor(port: int, spacing: float) -> list[float]:
    """From a put to AUTORESTART to the monitor of another client; ms of each."""
    with Raw(port) as putter, Raw(port) as watcher:
        sid = switched_on(putter)
        watcher.subscribe(watcher.create(f"{PV}AUTORESTART")[0], TIME + ENUM)
        watcher.message()
        found: list[float] = []
        for number in range(int(max(20, min(300, SECONDS / spacing)))):
            began = time.perf_counter()
            putter.socket.sendall(putter.put(sid, number % 2, number))
            watcher.count(EVENT_ADD, 1)
            found.append(1000 * (time.perf_counter() - began))
            putter.count(WRITE_NOTIFY, 1)
            time.sleep(spacing)
        return found[5:]


def updates(port: int, clients: int) -> float:
    """Monitor updates that so many clients get in all, per second, of puts that alternate."""
    with ExitStack() as stack:
        putter = stack.enter_context(Raw(port))
        watchers = [stack.enter_context(Raw(port)) for _ in range(clients)]
        sid = switched_on(putter)
        for watcher in watchers:
            watcher.subscribe(watcher.create(f"{PV}AUTORESTART")[0], TIME + ENUM)
            watcher.message()

        def step() -> int:
            for value in (0, 1):
                putter.socket.sendall(putter.put(sid, value, value))
                for watcher in watchers:
                    watcher.count(EVENT_ADD, 1)
                putter.count(WRITE_NOTIFY, 1)
            return 2 * clients

        return rate(step)


@dataclass(frozen=True)
class Figure:
    """How one figure is measured, of a server at a port, and its goal (see `Row`)."""

    unit: str
    measure: Callable[[int], float]
    goal: str = ""
    against: str = ""


FIGURES = {
    "get, 64 in flight": Figure("/s", pipelined, ">= 50"),
    "get, one at a time, median": Figure(
        "us", lambda port: median(single(port, "STATUS", TIME + ENUM)), "<= 0.4"
    ),
    "get, one at a time, 99 %": Figure(
        "us", lambda port: percentile(single(port, "STATUS", TIME + ENUM), 0.99), "<= 1"
    ),
    "get of 4 kB, median": Figure("us", lambda port: median(single(port, "TRACEBACK", CHAR, 0))),
    "put with callback, one at a time": Figure("/s", lambda port: puts(port, 1), ">= 1"),
    "put with callback, 64 in flight": Figure("/s", lambda port: puts(port, IN_FLIGHT), ">= 4"),
    "put to monitor, 1 ms apart, median": Figure(
        "ms", lambda port: median(to_monitor(port, 0.001)), "<= 2 ms"
    ),
    "put to monitor, 30 ms apart, median": Figure(
        "ms", lambda port: median(to_monitor(port, 0.03)), "<= 2 ms"
    ),
    "monitor updates to 1 client": Figure("/s", lambda port: updates(port, 1)),
    "monitor updates to 10 clients": Figure(
        "/s", lambda port: updates(port, 10), ">= 0.5", "C engine"
    ),
}


def rows() -> Iterator[Row]:
    """Measure; the three servers run side by side, and have their rounds in turn."""
    with ours() as own, bare() as caproto, engine() as c:
        servers = {"ours": own, "caproto": caproto, "C engine": c}
        for name, figure in FIGURES.items():
            found: dict[str, list[float]] = {server: [] for server in servers}
            for _ in range(ROUNDS):
                for server, port in servers.items():
                    found[server].append(figure.measure(port))
            peers = {server: median(values) for server, values in found.items()}
            own_figure = peers.pop("ours")
            yield Row(name, figure.unit, own_figure, peers, figure.goal, figure.against)


if __name__ == "__main__":
    print(table(rows()))
