"""Two IOCs on one host, and one that is killed: none harms the scripts or the state of another."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, survivors, until
from bgrscrpt_ioc.host.posix import processes as posix
from bgrscrpt_ioc.lifecycle.events import State

CAN_PART = (
    shutil.which("ip") is not None
    and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode
    == 0
)
# What has a network of its own, in which only its loopback is up.
APART = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
SHARES = """
import time
from multiprocessing import shared_memory
segment = shared_memory.SharedMemory(create=True, size=1000)
print("segment", segment.name, flush=True)
while True:
    time.sleep(1000)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that runs for ever."""
    path = tmp_path / "background_script.py"
    path.write_text(FOREVER)
    return path


def of(ioc: Ioc) -> set[int]:
    """The processes of this IOC's scripts, and of no other that has the same port."""
    found = survivors(ioc.port)
    return {pid for pid, cookie in found.items() if cookie.startswith(f"{ioc.process.pid}.")}


@pytest.mark.skipif(not CAN_PART, reason="needs iproute2, and the right to make a network")
def test_the_same_instance_in_another_network(tmp_path: Path, script: Path) -> None:
    """An IOC that cannot see the first one's name leaves its script alone, killed or not."""
    with Ioc(tmp_path, script, "--prefix", "TE:") as first:
        first.ready().wait_for("IOC started\n")
        before = of(first)
        assert len(before) == 1
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        command = [*APART, *COMMAND, "run", script, "--prefix", "TE:", "--state-dir"]
        with Ioc(
            elsewhere, port=first.port, command=[*command, tmp_path / "state"]
        ) as same_state:  # which no network hides
            assert same_state.exit_code() == 1
            assert f"in use by another IOC with pid {first.process.pid}" in same_state.output
        with Ioc(elsewhere, port=first.port, command=[*command, elsewhere / "state"]) as second:
            second.ready().wait_for("IOC started\n")
            assert "left behind" not in second.output
            assert len(of(second)) == 1
            assert of(first) == before
            second.process.kill()
            until(lambda: not of(second))
            assert of(first) == before
            first.end()


def test_two_prefixes_and_one_state_directory(tmp_path: Path, script: Path) -> None:
    """One user runs two scripts under the default settings: both serve, each with its own state."""
    home = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [*COMMAND, "run", script, "--prefix"]
    with (
        Ioc(tmp_path, command=[*command, "TE:P:"], environ=home) as first,
        Ioc(tmp_path, command=[*command, "TE:Q:"], environ=home) as second,
    ):
        for ioc, prefix in (first, "TE:P:"), (second, "TE:Q:"):
            ioc.ready().wait_for("IOC started\n")
            with Client(ioc.port) as client:
                client.monitor(f"{prefix}BGRSCRPT_01:STATUS").wait_for(State.RUNNING)
        assert {each.name for each in tmp_path.rglob("*.lock")} == {
            "TE.P.BGRSCRPT_01.lock",
            "TE.Q.BGRSCRPT_01.lock",
        }
        assert first.end() == second.end() == 0


def test_shared_memory_is_freed_when_the_ioc_is_killed(tmp_path: Path, script: Path) -> None:
    """The guardian, too, leaves multiprocessing's tracker the time to free what was shared."""
    script.write_text(SHARES)
    with Ioc(tmp_path, script) as ioc:
        ioc.ready().wait_for("segment ")
        until(lambda: ioc.drain().partition("segment ")[2].endswith("\n"))
        name = ioc.output.partition("segment ")[2].split()[0]
        segment = Path("/dev/shm", name)  # noqa: S108 - where the kernel has it
        assert segment.exists()
        running = of(ioc)
        assert any(posix.is_tracker(pid) for pid in running)
        ioc.process.kill()
        # What was killed is still to be seen until whoever adopted it has waited for it.
        until(lambda: all(posix.look_up(pid) is None for pid in running))
        assert not survivors(ioc.port)
        assert not segment.exists()
