"""EPICS base's acceptance test of clients, `acctst`, with our server: minutes, most of it waiting.

`python -m tests.ca.acctst [--channels N] [--preemptive]`. It wants a number that clients write, and
asks somebody to end the server once. Until then base's own server is there, because what comes
before is a test of the client (200,000 monitors); from then on it is ours.
"""

from __future__ import annotations

import argparse
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rig.basetools import tool
from benchmarks.rig.ca import HERE, Peer, ca_environ, free_port
from tests.ca.acceptance_ioc import NUMBER

PATIENCE = 1800.0  # s
ASKS = "Please force test channel to disconnect"
FAILED = "Calling epicsThreadSuspendSelf"  # after an assertion it waits for a debugger
TOO_BUSY = "fabs(accuracy)"  # it measures how exactly it sleeps
PASSED = "Test Complete"
TRIES = 3
ROOT = str(Path(__file__).parents[2])


def base(port: int, directory: Path) -> Peer:
    """Base's server with the number."""
    database = directory / "number.db"
    database.write_text(f'record(ao, "{NUMBER}") {{ field(PREC, "3") }}\n')
    command = [sys.executable, str(HERE / "softioc_peer.py"), str(database), ""]
    return Peer(command, ca_environ(port))


def ours(port: int) -> Peer:
    """Our server with the number."""
    command = [sys.executable, "-m", "tests.ca.acceptance_ioc", str(port)]
    return Peer(command, ca_environ(port, PYTHONPATH=ROOT))


def passes(channels: int, *, preemptive: bool, directory: Path) -> bool | None:
    """Run it, printing what it says; whether it has passed and left nothing in our server.

    None: the machine is too busy for what the test asks of its own clock.
    """
    port, said = free_port(), ""
    server, is_ours = base(port, directory), False
    command = [str(tool("acctst")), NUMBER, "2", str(channels), "1", str(int(preemptive))]
    with subprocess.Popen(
        ["stdbuf", "-o0", *command],
        env=ca_environ(port, PATH=os.environ["PATH"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as test:
        assert test.stdout is not None
        end = time.monotonic() + PATIENCE
        try:
            while select.select([test.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                data = test.stdout.read(1 << 16)
                print(data.decode(), end="", flush=True)
                said += data.decode()
                if ASKS in said and not is_ours:
                    server.kill()
                    server, is_ours = ours(port), True
                if not data or FAILED in said:
                    break
        finally:
            test.kill()
            code = server.end()
    nothing_left = {"left": [0, 0, 0, 0]} in server.said and not server.errors
    print(server.errors.decode(), end="")
    if TOO_BUSY in said:
        return None
    return PASSED in said and is_ours and code == 0 and nothing_left


def main() -> int:
    """Run it, and say how it went."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=10_000)
    parser.add_argument("--preemptive", action="store_true")
    options = parser.parse_args()
    passed = None
    with tempfile.TemporaryDirectory(prefix="bgr-") as directory:
        for _ in range(TRIES):
            passed = passes(
                options.channels, preemptive=options.preemptive, directory=Path(directory)
            )
            if passed is not None:
                break
    words = {True: "passed", False: "FAILED", None: "FAILED: the machine is too busy to tell"}
    print("acctst:", words[passed])
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
