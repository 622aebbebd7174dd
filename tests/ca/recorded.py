"""What real clients said, mutated, over sockets, while an innocent client works beside it.

`python -m tests.ca.recorded [--seed S] [--messages N]` records the clients anew and sends 100,000
messages; it keeps the recording beside the log if something fails. tests.faults.standing takes the
same cases without a network.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.rig import fuzz
from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import until
from benchmarks.rig.mutations import Mutations
from benchmarks.rig.network import fuzz_over_sockets
from benchmarks.rig.recording import record, save
from bgrscrpt_ioc.access.complaints import QUIET
from tests.ioc.served import P, Served

AT_ONCE = 50  # cases, until the innocent client has its turn
NOTHING = {"connections": 1, "channels": 3, "monitors": 1, "watched": 1}  # but the innocent's


@dataclass
class Stood:
    """How it went."""

    messages: int = 0
    waits: list[float] = field(default_factory=list)  # s, of the innocent client's gets


def stand(serve: Served, cases: Mutations, seed: int, messages: int) -> Stood:
    """Send so many messages and hold the server to its promises.

    Raises:
        AssertionError: it did not keep one.
    """
    stood, began = Stood(), time.monotonic()
    with Client(serve.port) as innocent:
        watched = innocent.monitor(P + "PID")
        for name in "STATUS", "AUTORESTART":
            innocent.get(P + name)
        for number in _rounds():
            numbers = range(number, number + AT_ONCE)
            stood.messages += sum(_counted(cases, seed, each) for each in numbers)
            fuzz_over_sockets(serve.port, seed, numbers, cases)
            asked = time.monotonic()
            assert innocent.get(P + "STATUS") == 0
            stood.waits.append(time.monotonic() - asked)
            serve.publish("PID", number)
            watched.wait_for(number)
            if stood.messages >= messages:
                break
        until(lambda: serve.ask("kept") == NOTHING)
    until(lambda: not any(serve.ask("kept").values()))
    log = serve.log.read_text()
    assert "Traceback" not in log, log
    assert "fault" not in log, log
    said = [line for line in log.splitlines() if line.startswith(("WARNING:bgr", "ERROR:bgr"))]
    assert len(said) <= 2 * (1 + (time.monotonic() - began) / QUIET), said  # connections, and puts
    return stood


def _rounds() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += AT_ONCE


def _counted(cases: Mutations, seed: int, number: int) -> int:
    """Tell how many messages a case is; cut anywhere, it is counted by its pieces."""
    r = fuzz.dice(seed, number)
    return 1 if number % 5 == 0 else len(cases.stream(r))


def main() -> int:
    """Record, send, and say how it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=fuzz.SEED)
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="bgr-"))
    try:
        sessions = record(directory)
        save(sessions, directory / "sessions.json")
        began = time.monotonic()
        with Served(directory / "log") as serve:
            stood = stand(serve, Mutations(sessions), options.seed, options.messages)
    except BaseException:
        print(f"seed {options.seed}: what was recorded, and the log, are in {directory}")
        raise
    shutil.rmtree(directory)
    waits = sorted(stood.waits)
    print(
        f"seed {options.seed}: {stood.messages} messages of {len(sessions)} clients, mutated, in"
        f" {time.monotonic() - began:.0f} s; another client's get took"
        f" {1000 * waits[len(waits) // 2]:.1f} ms (median), {1000 * waits[-1]:.0f} ms (worst)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
