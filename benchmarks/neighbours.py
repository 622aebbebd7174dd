"""What a client of one instance notices while another instance, or another client, attacks the IOC.

`python -m benchmarks.neighbours [--seconds S] [ATTACK ...]`: a line for each attack, with STATUS
read over libca. `ratio` is p99 to that of the same IOC before the attack. The client also reads
from a second IOC by turns, which nobody attacks: `other` is its p99 meanwhile. So what is the same
in both is due to the host, whose processors all share. Goals: ratio <= 2, worst <= 100 ms, STOP of
either instance within its stop_timeout (1 s) + 1 s; 10 s after the end no more descriptors than
before, and 10 MB more at most; a line of log for each host and instance at most.
"""

from __future__ import annotations

import argparse
import getpass
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.kit import percentile
from benchmarks.rig.attacks import ARRAY, ATTACKS, under
from benchmarks.rig.ca import ECA_NORMAL, Client
from benchmarks.rig.hostile_scripts import FLOODS, HOSTILE, MAIN, WAIT
from benchmarks.rig.iocs import Ioc, until
from benchmarks.rig.network import Watched

NEIGHBOUR, ATTACKER, OTHER = "TE:BGRSCRPT_01:", "TE:BGRSCRPT_02:", "TF:BGRSCRPT_01:"
RUNNING, BACK, MEMORY = 2, 10.0, 10_000_000
# Prints a line ten times a second. Its LOG is full, and it is registered: that takes a library.
QUIET = (
    MAIN
    + ARRAY
    + "from server_common.helpers import register_ioc_start\nregister_ioc_start('BGRSCRPT_01')\n"
    "print(('x' * 79 + '\\n') * 300)\nwhile True:\n    print('x' * 79)\n    time.sleep(0.1)\n"
)
GIGABYTE = (
    MAIN + "line = b'0123456789' * 9 + b'\\n'\nfor _ in range(11000):\n"
    "    os.write(1, line * 1000)\n" + WAIT
)
FIFO = "a FIFO as a script, checked"
SCRIPTS: dict[str, str] = {
    "a script that only spins": MAIN + "while True: pass\n",
    **{name: HOSTILE[name] for name in FLOODS},
    "1 GB of output": GIGABYTE,
    "binary output": HOSTILE["binary output"],
    "forged messages": HOSTILE["forger"],
    "memory hog": HOSTILE["memory hog"],
    "processor hog": HOSTILE["cpu hog"],
    "descriptor hog": HOSTILE["descriptor hog"],
    "fork bomb": HOSTILE["fork bomb"],
    FIFO: "",
}
CONFIG = """
prefix = "TE:"
echo = false
asg = "{0}/access.acf"
[defaults]
stop_timeout = 1.0
restart = "never"
[instance.BGRSCRPT_01]
script = "{0}/quiet.py"
[instance.BGRSCRPT_02]
script = "{0}/attack.py"
at_start = "stop"
memory_max = "150M"
nproc_max = 30
nofile_max = 64
cpu_max = 50
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one attack; times in ms."""

    before: list[float]
    meanwhile: list[float]
    other: list[float]  # meanwhile, of an IOC that nobody attacks
    processor: float  # share of a processor that the IOC takes
    stops: list[float]  # s, of either instance
    back: float  # s until memory and descriptors were back
    grown: float  # MB then
    lines: int  # of the log

    @property
    def ratio(self) -> float:
        """The p99 to that before."""
        return percentile(self.meanwhile, 0.99) / percentile(self.before, 0.99)

    def row(self, name: str) -> str:
        """As a line of the table, with what misses a goal in bold."""
        worst = max(self.meanwhile)
        figures = [f"{percentile(self.before, 0.99):.2f}"]
        figures += [f"{median(self.meanwhile):.2f}", f"{percentile(self.meanwhile, 0.99):.2f}"]
        figures += [bold(f"{self.ratio:.1f}", self.ratio > 2)]
        figures += [f"{percentile(self.other, 0.99):.2f}", bold(f"{worst:.0f}", worst > 100)]
        figures += [f"{100 * self.processor:.0f}"]
        figures += [bold(f"{max(self.stops):.2f}", max(self.stops) > 2)]
        late = self.back >= BACK
        figures += [
            bold(f"{self.back:.1f}", late),
            f"{self.grown:.0f}",
            bold(f"{self.lines}", self.lines > 3),
        ]
        return f"| {name} | " + " | ".join(figures) + " |"


def bold(text: str, missed: bool) -> str:
    """What misses its goal stands out."""
    return f"**{text}**" if missed else text


@contextmanager
def served(script: str) -> Iterator[tuple[Ioc, Client]]:
    """An IOC with a quiet instance and one that may attack; and a client over libca."""
    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        directory = Path(name)
        me = getpass.getuser()
        (directory / "access.acf").write_text(
            f"UAG(me) {{{me}}} ASG(DEFAULT) {{RULE(1, READ) RULE(1, WRITE) {{UAG(me)}}}}"
        )
        (directory / "quiet.py").write_text(QUIET)
        if script:
            (directory / "attack.py").write_text(script)
        else:
            os.mkfifo(directory / "attack.py")
        (directory / "ioc.toml").write_text(CONFIG.format(directory))
        (directory / "other").mkdir()
        with (
            Ioc(directory, "--config", directory / "ioc.toml").ready() as ioc,
            Ioc(
                directory / "other", directory / "quiet.py", "--prefix", "TF:", "--no-echo"
            ).ready() as other,
            Client(
                ioc.port, EPICS_CA_ADDR_LIST=f"127.0.0.1:{ioc.port} 127.0.0.1:{other.port}"
            ) as client,
        ):
            client.monitor(NEIGHBOUR + "STATUS").wait_for(RUNNING)
            until(lambda: client.get(NEIGHBOUR + "LOG:COUNT") > 300)
            until(lambda: client.get(NEIGHBOUR + "REGISTERED"))
            client.connect(ATTACKER + "STOP")
            yield ioc, client


def reads(client: Client, seconds: float) -> tuple[list[float], list[float]]:
    """How long gets of the neighbour's STATUS take, and of the other IOC's, ms."""
    neighbour, other = client.times(seconds, NEIGHBOUR + "STATUS", OTHER + "STATUS")
    return [1000 * each for each in neighbour], [1000 * each for each in other]


def stopped(client: Client, prefix: str) -> float:
    """How long STOP of an instance takes, s."""
    began = time.monotonic()
    status = client.put_callback(prefix + "STOP")
    return time.monotonic() - began if status == ECA_NORMAL else math.inf


def begin(client: Client, attack: str) -> None:
    """Have the attacking instance do its worst."""
    if attack == FIFO:
        client.begin_put(ATTACKER + "CHECK")
    elif attack in SCRIPTS:
        client.put(ATTACKER + "START", 1)
        until(lambda: client.get(ATTACKER + "STATUS") >= RUNNING)


def figures(attack: str, seconds: float) -> Figures:
    """Measure one attack."""
    with served(SCRIPTS.get(attack, HOSTILE["stopped"])) as (ioc, client):
        reads(client, 0.5)
        watched, (before, _) = Watched(ioc.process.pid), reads(client, seconds / 2)
        said = len(log_lines(ioc))
        with under(attack, ioc.port) if attack in ATTACKS else nullcontext():
            begin(client, attack)
            time.sleep(1.0)  # until it is under way
            used, began = watched.processor(), time.monotonic()
            meanwhile, other = reads(client, seconds)
            load = (watched.processor() - used) / (time.monotonic() - began)
            stops = [stopped(client, NEIGHBOUR), stopped(client, ATTACKER)]
        ended = time.monotonic()
        while (back := time.monotonic() - ended) < BACK:
            if watched.as_before() and watched.grown() < MEMORY:
                break
            time.sleep(0.1)
        lines = log_lines(ioc)[said:]
        if len(lines) > 3:
            print("".join(f"    {line}\n" for line in lines[:12]), end="")
        grown = watched.grown() / 1e6
        return Figures(before, meanwhile, other, load, stops, back, grown, len(lines))


def log_lines(ioc: Ioc) -> list[str]:
    """The IOC's log, without the puts that were carried out: they are logged in full."""
    return [line for line in ioc.drain().splitlines() if " new=" not in line]


def main() -> None:
    """Measure and print."""
    everything = ["nothing", *SCRIPTS, *ATTACKS]
    parser = argparse.ArgumentParser(description="The neighbours of an attack.")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"of {', '.join(everything)}")
    options = parser.parse_args()
    print("| attack | p99 before, ms | median | p99 | ratio | other | worst | IOC's CPU, %"
          " | STOP, s | back after, s | MB more | lines |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for attack in options.attacks or everything:
        print(figures(attack, options.seconds).row(attack), flush=True)


if __name__ == "__main__":
    main()
