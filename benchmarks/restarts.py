"""What 2,000 restarts leave in the IOC: memory, descriptors, threads, zombies, sockets, tasks.

`python -m benchmarks.restarts [--restarts 2000]`: a table with a row for every tenth of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import psutil

from benchmarks.rig.ca import ECA_NORMAL, Client
from benchmarks.rig.iocs import FOREVER, Ioc
from bgrscrpt_ioc.host.worker import IDLE

PV = "TE:BGRSCRPT_01:"
LOOKS = 40
LONG = IDLE + 1.0  # s that they take: a busy IOC keeps an additional thread so long without a job
SETTLED = 5  # restarts until all that is made once has been made


@dataclass(frozen=True)
class Left:
    """What the IOC process has, as the kernel tells it."""

    restarts: int
    rss_mb: float
    descriptors: int
    sockets: int
    threads: int
    children: int  # zombies too; the guardian and the script are two
    zombies: int


def measure(pid: int, restarts: int) -> Left:
    """Look from outside, for a while: what work in hand has open is no leak, the least counts."""
    ioc = psutil.Process(pid)
    looks: list[tuple[int, ...]] = []
    for _ in range(LOOKS):
        time.sleep(LONG / LOOKS)
        links = descriptors(pid)
        sockets = sum(link.startswith("socket:") for link in links)
        children = [child.status() for child in ioc.children()]
        zombies = children.count(psutil.STATUS_ZOMBIE)
        looks.append((len(links), sockets, ioc.num_threads(), len(children), zombies))
    return Left(
        restarts, round(ioc.memory_info().rss / 1e6, 1), *map(min, zip(*looks, strict=True))
    )


def descriptors(pid: int) -> list[str]:
    """What the process has open at this moment."""
    found: list[str] = []
    for each in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - of this moment
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(f"/proc/{pid}/fd/{each}"))  # noqa: PTH115
    return found


def restart(directory: Path, restarts: int, every: int) -> list[Left]:
    """Restart a script that registers and writes; measure every so many."""
    script = directory / "script.py"
    register = "from server_common.helpers import register_ioc_start as r\nr('BGRSCRPT_01')\n"
    script.write_text(register + FOREVER)
    found: list[Left] = []
    with Ioc(directory, script, "--prefix", "TE:", "--no-echo") as ioc:
        ioc.ready()
        with Client(ioc.port) as client:
            for number in range(SETTLED + restarts + 1):
                if number >= SETTLED and (number - SETTLED) % every == 0:
                    found.append(measure(ioc.process.pid, number - SETTLED))
                if (status := client.put_callback(PV + "RESTART")) != ECA_NORMAL:
                    raise RuntimeError(f"RESTART {number} failed with ECA status {status}")
                client.said.clear()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=2000)
    restarts = parser.parse_args().restarts
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bgr-") as directory:
        rows = restart(Path(directory), restarts, max(1, restarts // 10))
    print("| " + " | ".join(field.name for field in fields(Left)) + " |")
    print("|---" * len(fields(Left)) + "|")
    for row in rows:
        print("| " + " | ".join(map(str, astuple(row))) + " |")
    print(f"{restarts} restarts in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
