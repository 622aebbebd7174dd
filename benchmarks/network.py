"""How long a CA client waits for STATUS, and what the IOC takes up, under attacks of the network.

`python -m benchmarks.network [SECONDS]`: a table of one run, each attack from a process of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import caproto as ca

from tests.faults import fuzz
from tests.faults.network import Watched, fuzz_over_sockets, idle, measured, scan, searches
from tests.ioc.ca import Client
from tests.ioc.iocs import FOREVER, Ioc
from tests.ioc.raw import RawClient

SECONDS = 5.0
P = "TE:BGRSCRPT_01:"
PRINTS = "while True:\n    print('x' * 80)\n"


def malformed(port: int) -> None:
    """Cases of the fuzzer, one connection each."""
    at = 0
    while True:
        fuzz_over_sockets(port, fuzz.SEED, range(at, at + 100))
        at += 100


def idle_500(port: int) -> None:
    """Connections that say nothing."""
    with idle(port, 500):
        time.sleep(1000)


def not_reading(port: int) -> None:
    """20 clients with a monitor on LOG that read nothing of it."""
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(RawClient(port, buffer=4096))
            client.send(client.open(P + "LOG").subscribe())
        time.sleep(1000)


def putting(port: int) -> None:
    """20 clients, each of which puts START with callback again and again."""
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(20)]
        channels = [client.open(P + "START") for client in clients]
        while True:
            for client, channel in zip(clients, channels, strict=True):
                client.send(channel.write([1], ca.ChannelType.ENUM, notify=True))
            for client in clients:
                client.receive(ca.WriteNotifyResponse)


def scanning(port: int) -> None:
    """A port scan without end."""
    while True:
        scan(port, 100)


def greedy(port: int) -> None:
    """5 clients that ask for STATUS without end, 200 times in one go."""
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(port)) for _ in range(5)]
        (questions,) = {bytes(c.open(P + "STATUS").read(ioid=1)) * 200 for c in clients}
        while True:
            for client in clients:
                client.socket.sendall(questions)
            for client in clients:
                client.socket.recv(200 * 24, socket.MSG_WAITALL)  # an answer is of 24 bytes


def searching(port: int, name: str) -> None:
    """10,000 searches a second."""
    with searches(port, name, 10_000, 1000) as sent:
        sent()


ATTACKS: dict[str, Callable[[int], None]] = {
    "malformed messages": malformed,
    "500 idle connections": idle_500,
    "20 clients putting": putting,
    "port scan": scanning,
    "5 clients asking without end": greedy,
    "10,000 searches/s, of nobody's": lambda port: searching(port, "NOBODY:HAS:THIS"),
    "10,000 searches/s, of ours": lambda port: searching(port, P + "STATUS"),
    "20 clients not reading LOG": not_reading,
}


@contextmanager
def under(attack: str, port: int):
    """Have the attack go on meanwhile."""
    command = [sys.executable, "-m", "benchmarks.network", "--attack", attack, str(port)]
    with subprocess.Popen(command, start_new_session=True) as process:  # noqa: S603 - our own
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # what it has started too


def row(name: str, attack: str, ioc: Ioc, client: Client, seconds: float) -> None:
    """Measure, and print one line."""
    watched = Watched(ioc.process.pid)
    before = watched.memory()
    with under(attack, ioc.port) if attack else nullcontext():
        time.sleep(1.0 if attack else 0)  # until it is under way
        used, began = watched.processor(), time.monotonic()
        times = measured(lambda: client.get(P + "STATUS"), seconds)
        load = (watched.processor() - used) / (time.monotonic() - began)
    time.sleep(0.5)
    centile = times[int(0.99 * len(times))]
    figures = (1000 * each for each in (statistics.median(times), centile, times[-1]))
    shown = " | ".join(f"{each:.2f}" for each in figures)
    memory = f"{before / 1e6:.0f} | {watched.memory() / 1e6:.0f}"
    print(f"| {name} | {len(times)} | {shown} | {100 * load:.0f} | {memory} |", flush=True)


def main() -> None:
    """Measure and print; or be an attack."""
    if sys.argv[1:2] == ["--attack"]:
        ATTACKS[sys.argv[2]](int(sys.argv[3]))
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    print("| network | reads | median ms | 99 % ms | worst ms | IOC's CPU % | RSS MB | after |")
    print("|---|---|---|---|---|---|---|---|")
    for script, baseline in (FOREVER, "idle"), (PRINTS, "script prints at full speed"):
        with tempfile.TemporaryDirectory(prefix="bgr-") as name, ExitStack() as stack:
            directory = Path(name)
            path = directory / "script.py"
            path.write_text(script)
            ioc = stack.enter_context(Ioc(directory, path, "--prefix", "TE:", "--no-echo")).ready()
            client = stack.enter_context(Client(ioc.port))
            client.monitor(P + "STATUS").wait_for(2)
            row(baseline, "", ioc, client, seconds)
            for attack in ATTACKS:
                if (attack == "20 clients not reading LOG") == (script is PRINTS):
                    row(attack, attack, ioc, client, seconds)


if __name__ == "__main__":
    main()
