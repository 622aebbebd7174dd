"""Random faults on a real IOC, for a short time; `make chaos` is the long form."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.chaos import unleash
from tests.faults.observer import doubles, look

ACTIONS, SECONDS = 30, 12.0  # of each seed
PATIENCE = (
    20.0  # s: the machine of a test may be busy; `make chaos` has the times that are promised
)


@pytest.mark.parametrize("seed", [4, random.SystemRandom().getrandbits(32)], ids=["fixed", "new"])
def test_never_two_copies_never_an_orphan(tmp_path: Path, seed: int) -> None:
    """Whatever happens, each instance has one run or none, and STATUS says which."""
    print(f"seed {seed}")
    chaos = unleash(tmp_path, seed, ACTIONS, SECONDS, PATIENCE, PATIENCE)
    assert chaos.done


def test_the_observer_sees_two_copies() -> None:
    """Two runs of an instance at once are reported.

    Two processes of one run, or of others, are not.
    """
    port = str(os.getpid())  # no IOC's: it only marks what is ours

    def sleeper(cookie: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "1000"], env={"BGRSCRPT_RUN": cookie, **os.environ})

    cookies = (f"1.1/{port}/A/1", f"1.1/{port}/A/1", f"1.1/{port}/B/2", f"1.1/{port}/A/check")
    sleepers = [sleeper(cookie) for cookie in cookies]
    try:
        table = look(port)
        assert {name: set(runs) for name, runs in table.items()} == {
            "A": {"1.1/1", "1.1/check"},
            "B": {"1.1/2"},
        }
        assert doubles(table) == []
        sleepers.append(sleeper(f"2.2/{port}/A/1"))
        (told,) = doubles(look(port))
        assert told.startswith("A: ['1.1/1', '2.2/1'] at once")
    finally:
        for each in sleepers:
            each.send_signal(signal.SIGKILL)
            each.wait()
    assert look(port) == {}


def test_a_seed_is_a_list_of_actions() -> None:
    """The program takes a seed and prints it, so that a failure can be repeated."""
    command = [sys.executable, "-m", "tests.faults.chaos", "--seed", "5", "--actions", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "seed 5"), done.stdout
