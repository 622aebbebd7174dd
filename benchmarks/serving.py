"""The IOC itself: how soon it answers, what it takes when idle, and with how many scripts.

`python -m benchmarks.serving`. The first peer of the start is EPICS's C engine.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.kit import Row, median, table, until
from benchmarks.rates import TEMPLATE, answers
from benchmarks.raw import ENUM, READ_NOTIFY, Raw
from benchmarks.rig.ca import HERE, ca_environ, free_port
from benchmarks.rig.iocs import Ioc

ROUNDS = 9
IDLE = 15.0  # s
COUNTS = (1, 100, 500)
TRIVIAL = "import time\nwhile True:\n    time.sleep(1000)\n"
RUNNING = 2


def first_answer(command: list[str], directory: Path, **environ: str) -> float:
    """Launch a server; ms until it answers for STATUS."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        env=ca_environ(port, **environ),
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: answers(port), "an answer")
        return 1000 * (time.perf_counter() - began)
    finally:
        process.terminate()
        process.communicate()


def starts() -> Iterator[Row]:
    """From the launch to the first answer.

    Ours is the installed package, with the byte code that an installation has: in a source tree
    Python would compile 250 files at each launch if it must not keep byte code.
    """
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        directory = Path(name)
        script = directory / "script.py"
        script.write_text(TRIVIAL)
        run = [sys.executable, "-m", "bgrscrpt_ioc", "run", str(script), "--prefix", "TE:"]
        macros = "P=TE:,NAME=BGRSCRPT_01"
        commands = {
            "C engine": [sys.executable, str(HERE / "softioc_peer.py"), str(TEMPLATE), macros],
            "caproto": [sys.executable, "-m", "benchmarks.bare", "1"],
            "ours": [*run, "--no-echo", "--state-dir", name],
        }
        found: dict[str, list[float]] = {peer: [] for peer in commands}
        tree = {"PYTHONPATH": str(Path.cwd())}  # where the peers are
        for _ in range(ROUNDS):
            for peer, command in commands.items():
                environ = {} if peer == "ours" else tree
                found[peer].append(first_answer(command, directory, **environ))
        medians = {peer: median(values) for peer, values in found.items()}
        yield Row("launch to first answer", "ms", medians.pop("ours"), medians, "<= 0.35")


@contextmanager
def instances(count: int, script: str = TRIVIAL) -> Iterator[tuple[Ioc, float]]:
    """An IOC with so many scripts, all Running; and the s that it took from the launch."""
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        directory = Path(name)
        (directory / "script.py").write_text(script)
        tables = (f'[instance.{each}]\nscript = "script.py"\n' for each in names(count))
        (directory / "ioc.toml").write_text('prefix = "TE:"\necho = false\n' + "".join(tables))
        began = time.perf_counter()
        with Ioc(directory, "--config", directory / "ioc.toml") as ioc:
            ioc.ready()
            with Raw(ioc.port) as client:
                sids = client.create(*(f"TE:{each}:STATUS" for each in names(count)))
                until(lambda: states(client, sids) == [RUNNING] * count, "all Running")
            yield ioc, time.perf_counter() - began


def names(count: int) -> list[str]:
    return [f"BGRSCRPT_{number:02}" for number in range(1, count + 1)]


def states(client: Raw, sids: list[int]) -> list[int]:
    """STATUS of all."""
    client.socket.sendall(b"".join(client.get(sid, ENUM) for sid in sids))
    found = []
    for _ in sids:
        message = client.message()
        found.append(int.from_bytes(message[6][:2], "big") if message[0] == READ_NOTIFY else -1)
    return found


def idle(ioc: Ioc) -> tuple[float, float, float]:
    """When nothing happens: % of CPU, wake-ups per second of the IOC and its guardian, MB."""
    ours = psutil.Process(ioc.process.pid)
    guardian = [each for each in ours.children() if "guardian.py" in " ".join(each.cmdline())]
    time.sleep(5.0)  # what follows a start: the registry, the journal, revisions
    before, began = [spent([ours, *guardian]), wakes([ours, *guardian])], time.perf_counter()
    time.sleep(IDLE)
    took = time.perf_counter() - began
    cpu = (spent([ours, *guardian]) - before[0]) / took
    return 100 * cpu, (wakes([ours, *guardian]) - before[1]) / took, ours.memory_info().rss / 1e6


def spent(processes: list[psutil.Process]) -> float:
    """Seconds on a CPU, to the ns: a clock tick is more than an idle IOC takes.

    By the clock of each process (clock_getcpuclockid(3)), which keeps the time of ended threads.
    """
    return sum(time.clock_gettime((~process.pid << 3) | 2) for process in processes)


def wakes(processes: list[psutil.Process]) -> int:
    """Voluntary context switches of all threads: each is one wake-up."""
    total = 0
    for process in processes:
        for status in Path(f"/proc/{process.pid}/task").glob("*/status"):
            total += int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


def latency(ioc: Ioc) -> float:
    """Median us of a get."""
    found = []
    with Raw(ioc.port) as client:
        (sid,) = client.create("TE:BGRSCRPT_01:STATUS")
        for _ in range(500):
            began = time.perf_counter()
            states(client, [sid])
            found.append(1e6 * (time.perf_counter() - began))
    return median(found)


def scale() -> Iterator[Row]:
    """One IOC with ever more scripts."""
    smallest = 0.0
    for count in COUNTS:
        with instances(count) as (ioc, took):
            cpu, _, memory = idle(ioc)
            smallest = smallest or memory
            took_a_get = latency(ioc)
            began = time.perf_counter()
            ioc.end(signal.SIGTERM)
            stopped = time.perf_counter() - began
        these = f"{count} script{'s' * (count > 1)}"
        yield Row(f"{these}: all Running", "s", took, {})
        yield Row(f"{these}: memory of the IOC", "MB", memory, {})
        if count > 1:
            each = (memory - smallest) / (count - 1)
            yield Row(f"{these}: memory of each more", "MB", each, {}, "<= 0.3 MB")
        yield Row(f"{these}: idle CPU", "%", cpu, {})
        yield Row(f"{these}: a get", "us", took_a_get, {})
        yield Row(f"{these}: all stopped", "s", stopped, {})


def rows() -> Iterator[Row]:
    """Measure."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield from starts()
    with instances(3) as (ioc, _):
        cpu, woken, memory = idle(ioc)
    yield Row("three scripts, idle: CPU", "%", cpu, {}, "<= 0.02 %")
    yield Row("three scripts, idle: wake-ups", "/s", woken, {}, "<= 2 /s")
    yield Row("three scripts: memory of the IOC", "MB", memory, {}, "<= 38 MB")
    yield from scale()


if __name__ == "__main__":
    print(table(rows()))
