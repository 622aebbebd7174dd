"""What dead IOCs left in cgroups is killed; what a living IOC runs is not, even in a container."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.rig.iocs import until
from bgrscrpt_ioc.host.posix.cgroup import Cgroups
from bgrscrpt_ioc.host.posix.processes import living, living_ids, look_up, own_id
from bgrscrpt_ioc.host.posix.sweep import sweep
from bgrscrpt_ioc.process.order import COOKIE
from tests.process.scripts import alive

KEY = "5064/TE:BGRSCRPT_01"
SLEEPER = "import os; print(os.getpid(), flush=True); input()"
CONTAINER = ["unshare", "--pid", "--fork", "--kill-child"]
HAS_CONTAINERS = (
    shutil.which("unshare") is not None
    and subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0
)


class Sleeper:
    """A process that waits; `inner` is its pid as it sees itself."""

    def __init__(self, stack: ExitStack, *before: str, cookie: str = "") -> None:
        self.process = stack.enter_context(
            subprocess.Popen(
                [*before, sys.executable, "-c", SLEEPER],
                env={COOKIE: cookie},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        )
        stack.callback(self.process.kill)
        assert self.process.stdout is not None
        self.inner = int(self.process.stdout.readline())


class Group:
    """A directory in place of the cgroup of a run in which this process lives."""

    def __init__(self, path: Path, sleeper: Sleeper) -> None:
        self.path, self._process = path, sleeper.process
        (path / "cgroup.kill").mkdir(parents=True)  # as before Linux 5.14: it cannot be written
        (path / "cgroup.procs").write_text(f"{sleeper.process.pid}\n")
        (path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
        threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        self._process.wait()
        if self.path.exists():
            (self.path / "cgroup.events").write_text("populated 0\nfrozen 0\n")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what it has taken in."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in place of our cgroup; its directories are deleted with their files."""
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "cgroup.subtree_control").touch()
    monkeypatch.setattr(Path, "rmdir", shutil.rmtree)
    return tmp_path


def test_cgroups_of_dead_iocs(base: Path, stack: ExitStack) -> None:
    """Only the group of this instance and a dead IOC is ended; the others live on."""
    names = {
        "dead": f"1.2@{KEY.replace('/', '@')}",
        "living": f"{own_id()}@{KEY.replace('/', '@')}",
        "other instance": "1.2@5064@TE:BGRSCRPT_02",
        "other prefix": "1.2@5064@XTE:BGRSCRPT_01",
    }
    sleepers = {name: Sleeper(stack) for name in names}
    groups = {name: Group(base / path, sleepers[name]) for name, path in names.items()}
    cgroups = Cgroups(base, own_id())
    assert cgroups.end_leftovers([KEY]) == 1
    assert sleepers.pop("dead").process.wait(30) == -9
    assert not groups.pop("dead").path.exists()
    assert all(alive(each.process.pid) for each in sleepers.values())
    assert all(each.path.exists() for each in groups.values())
    assert cgroups.end_leftovers([KEY]) == 0


@pytest.mark.skipif(not HAS_CONTAINERS, reason="needs the right to make a namespace of pids")
def test_an_ioc_in_a_container(base: Path, stack: ExitStack) -> None:
    """An IOC in a container, which knows its inner pid, is known to live.

    Its runs are left alone.
    """
    ioc = Sleeper(stack, *CONTAINER)
    assert ioc.inner == 1
    outer = Path(f"/proc/{ioc.process.pid}/task/{ioc.process.pid}/children").read_text()
    seen = look_up(int(outer))
    assert seen is not None
    name = f"{ioc.inner}.{seen.started}"
    assert living([name, f"2.{seen.started}", "1.2"]) == {name}
    assert {name, f"{seen.pid}.{seen.started}"} <= living_ids()
    run = Sleeper(stack, cookie=f"{name}/{KEY}/7")
    group = Group(base / f"{name}@{KEY.replace('/', '@')}", run)
    assert sweep([KEY]) == 0
    assert Cgroups(base, own_id()).end_leftovers([KEY]) == 0
    assert alive(run.process.pid)
    assert group.path.exists()
    ioc.process.kill()
    ioc.process.wait(30)
    until(
        lambda: name not in living_ids()
    )  # the kernel ends what is in the container a little later
    assert Cgroups(base, own_id()).end_leftovers([KEY]) == 1
    assert run.process.wait(30) == -9
