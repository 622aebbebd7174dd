"""The script cannot hurt the IOC: real hostile scripts, with a libca client that reads STATUS.

Each script is bounded, so that a failing test does not hurt the machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.rig.ca import ECA_NORMAL, TIME, Client
from benchmarks.rig.hostile_scripts import FLOODS, HOSTILE
from benchmarks.rig.iocs import Ioc, survivors, until
from bgrscrpt_ioc.lifecycle.events import State

P = "TE:BGRSCRPT_01:"
GROWTH = 64_000_000  # bytes that the IOC may grow by; the attacks are of 100 MB and more
V2 = Path("/sys/fs/cgroup/unified")


class Attacked:
    """An IOC whose script is hostile, and its client."""

    def __init__(self, ioc: Ioc, client: Client) -> None:
        self.ioc, self.client = ioc, client
        self._process = psutil.Process(ioc.process.pid)
        self._memory = self._process.memory_info().rss

    def until(self, condition: Callable[[], object]) -> None:
        """Read STATUS, which must answer, until the condition holds."""

        def holds() -> object:
            assert self.client.get(P + "STATUS") in set(State)
            return condition()

        until(holds, 60.0)

    def stop(self) -> None:
        """Check that STOP works, nothing is left, and the IOC has not grown."""
        assert self.client.put_callback(P + "STOP") == ECA_NORMAL
        assert self.client.get(P + "STATUS") == State.STOPPED
        assert not survivors(self.ioc.port)
        assert self._process.memory_info().rss < self._memory + GROWTH


@pytest.fixture
def attack(tmp_path: Path) -> Iterator[Callable[..., Attacked]]:
    """Starts an IOC with one of the hostile scripts."""
    with contextlib.ExitStack() as stack:

        def start(name: str, *options: str) -> Attacked:
            script = tmp_path / "script.py"
            script.write_text(HOSTILE[name])
            limits = ("--restart", "never", "--stop-timeout", "1", "--no-echo", *options)
            ioc = stack.enter_context(Ioc(tmp_path, script, "--prefix", "TE:", *limits)).ready()
            return Attacked(ioc, stack.enter_context(Client(ioc.port)))

        yield start


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup v2 of our own, without controllers."""
    path = V2 / f"bgrscrpt-test-{os.getpid()}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no cgroup v2 that we may write")
    yield path
    until(lambda: not any(each.is_dir() for each in path.iterdir()))
    path.rmdir()


def reason(attacked: Attacked) -> str:
    return attacked.client.get(P + "EXITREASON")


def test_a_memory_hog(attack: Callable[..., Attacked]) -> None:
    """A script near its limit causes a warning.

    Above it the script is killed, and EXITREASON says so.
    """
    attacked = attack("memory hog", "--memory-max", "150M")
    near = "memory is near its limit of 150 MB"
    attacked.until(lambda: near in attacked.client.text(P + "STATUS:MSG"))
    assert attacked.client.read(P + "MEMORY", TIME + 6)["severity"] == 1
    attacked.until(lambda: reason(attacked))
    assert reason(attacked) == "memory limit 150 MB"
    attacked.until(lambda: attacked.client.read(P + "MEMORY", TIME + 6)["severity"] == 0)
    attacked.stop()


def test_a_fast_memory_hog(attack: Callable[..., Attacked]) -> None:
    """The kernel refuses one huge request, and EXITREASON says why."""
    attacked = attack("fast hog", "--memory-max", "150M")
    attacked.until(lambda: reason(attacked))
    assert reason(attacked) == "exit 1 (memory limit 150 MB)"
    assert attacked.client.text(P + "ERROR").startswith("MemoryError")


def test_forked_workers_share(attack: Callable[..., Attacked]) -> None:
    """Memory that forked processes share counts once: four with 100 MB stay below 200 MB."""
    attacked = attack("sharing workers", "--memory-max", "200M")
    attacked.until(lambda: "weighed" in attacked.client.text(P + "LOG"))
    assert attacked.client.get(P + "STATUS") == State.RUNNING
    attacked.stop()


def test_a_fork_bomb(attack: Callable[..., Attacked]) -> None:
    """Above its limit a fork bomb is stopped and killed as a whole."""
    attacked = attack("fork bomb", "--nproc-max", "30")
    attacked.until(lambda: reason(attacked))
    assert reason(attacked) == "process limit 30"
    attacked.until(lambda: not survivors(attacked.ioc.port))
    attacked.stop()


def test_a_hopper(attack: Callable[..., Attacked], group: Path) -> None:
    """In a cgroup even a process that forks and ends all the time is killed completely."""
    attacked = attack("hopper", "--cgroup", str(group))
    attacked.until(lambda: "hopping" in attacked.client.text(P + "LOG"))
    (run,) = group.glob(f"*@{attacked.ioc.port}@{P[:-1]}")
    assert "populated 1" in (run / "cgroup.events").read_text()
    attacked.stop()
    assert not run.exists()


def test_the_guardian_ends_cgroups(attack: Callable[..., Attacked], group: Path) -> None:
    """After a SIGKILL of the IOC the guardian kills what lives in its cgroups, and removes them."""
    attacked = attack("hopper", "--cgroup", str(group))
    attacked.until(lambda: "hopping" in attacked.client.text(P + "LOG"))
    attacked.ioc.end(signal.SIGKILL)
    until(lambda: not any(each.is_dir() for each in group.iterdir()))


def test_a_descriptor_hog(attack: Callable[..., Attacked]) -> None:
    """The script gets an OSError of its own; the IOC has descriptors left."""
    attacked = attack("descriptor hog", "--nofile-max", "64")
    attacked.until(lambda: reason(attacked))
    assert reason(attacked) == "exit 1"
    assert "Too many open files" in attacked.client.text(P + "ERROR")


@pytest.mark.alone
def test_a_cpu_hog(attack: Callable[..., Attacked]) -> None:
    """A limit that cannot be enforced is not claimed: a warning comes, and the script goes on."""
    attacked = attack("cpu hog", "--cpu-max", "10")
    attacked.until(lambda: attacked.client.read(P + "CPU", TIME + 6)["severity"] == 1)
    assert "cpu_max: warned of only" in attacked.ioc.output
    assert attacked.client.get(P + "STATUS") == State.RUNNING
    attacked.stop()


def test_killed_before_the_ioc(attack: Callable[..., Attacked]) -> None:
    """When memory is short, the kernel kills the script before the IOC."""
    attacked = attack("stopped")
    attacked.until(lambda: attacked.client.get(P + "STATUS") == State.RUNNING)
    script = attacked.client.get(P + "PID")
    score, own = (
        int(Path(f"/proc/{pid}/oom_score_adj").read_text())
        for pid in (script, attacked.ioc.process.pid)
    )
    assert score == min(1000, own + 500)
    attacked.stop()


@pytest.mark.parametrize("name", ["much output", "binary output"])
def test_output(attack: Callable[..., Attacked], name: str) -> None:
    """100 MB at full speed are read to the end, and the IOC does not grow."""
    attacked = attack(name)
    attacked.until(lambda: "the end" in attacked.client.text(P + "LOG"))
    attacked.stop()


def test_forged_messages(attack: Callable[..., Attacked]) -> None:
    """Malformed, huge, endless and unknown messages change only what the script may change."""
    attacked = attack("forger")
    attacked.until(lambda: "the end" in attacked.client.text(P + "LOG"))
    assert attacked.client.get(P + "STATUS") == State.RUNNING
    assert attacked.client.get(P + "PID") in survivors(attacked.ioc.port)
    attacked.stop()


def test_a_stopped_script(attack: Callable[..., Attacked]) -> None:
    """A script under SIGSTOP exists, so STATUS is Running; STOP still ends it."""
    attacked = attack("stopped")
    attacked.until(lambda: attacked.client.get(P + "STATUS") == State.RUNNING)
    os.kill(attacked.client.get(P + "PID"), signal.SIGSTOP)
    attacked.until(lambda: attacked.client.get(P + "STATUS") == State.RUNNING)
    attacked.stop()


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood(attack: Callable[..., Attacked], name: str) -> None:
    """Whatever a script calls, sends or prints without end: PVs answer, STOP works, all is bounded.

    What the IOC's own log has of it are a few lines.
    """
    attacked = attack(name)
    attacked.until(lambda: attacked.client.get(P + "STATUS") == State.RUNNING)
    for _ in range(300):
        attacked.client.get(P + "STATUS")
    attacked.stop()
    assert attacked.client.get(P + "LOG:DROPPED") == 0
    assert len(attacked.ioc.drain().splitlines()) < 40
