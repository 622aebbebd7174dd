"""Control groups (cgroup v2): a run's own group knows, and kills, exactly what belongs to the run.

Linux only, as posix.py is; nothing here knows what a script is, or which limits it has.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.posix import Process

LEAF = "ioc"  # where processes of the base go: a group that has controllers has no processes
CONTROLLERS = ("cpu", "memory", "pids")
DESCENDANTS = "64"  # groups that a script may make below its own
PATIENCE = 5.0  # s: what SIGKILL has not ended by then hangs in the kernel
MARKS = ("user.delegate", "trusted.delegate")  # systemd.resource-control(5), Delegate=


class Cgroup:
    """The group of one run, there or not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pids(self) -> set[int]:
        """All that live in it and below it."""
        found: set[int] = set()
        for directory, _, _ in os.walk(self.path):
            with contextlib.suppress(
                OSError
            ):  # gone meanwhile, or a threaded one: its parent knows
                found.update(map(int, Path(directory, "cgroup.procs").read_text().split()))
        return found - {0}

    def processes(self, everyone: Mapping[int, Process] | None = None) -> dict[int, Process]:
        """The same, as the process table (or `everyone`) has them."""
        everyone = everyone or {}
        found = ((pid, everyone.get(pid) or posix.look_up(pid)) for pid in self.pids())
        return {pid: process for pid, process in found if process is not None}

    @property
    def populated(self) -> bool:
        """Does anything live in it? Exact, however fast its processes come and go."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except OSError:
            return False

    @property
    def out_of_memory_kills(self) -> int:
        """How often the kernel killed in it for want of memory; 0 without a memory controller."""
        try:
            events = (self.path / "memory.events").read_text()
            return int(events.partition("oom_kill ")[2].split()[0])
        except (OSError, ValueError, IndexError):
            return 0

    def kill(self) -> None:
        """SIGKILL all of it at once, also what forks meanwhile."""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except OSError:  # Linux before 5.14
            with contextlib.suppress(OSError):
                (self.path / "cgroup.freeze").write_text("1")
            posix.send(self.pids(), signal.SIGKILL)

    def end(self, timeout: float = PATIENCE) -> int:
        """Kill all of it and remove it; return how many processes were there. Blocks."""
        killed: set[int] = set()
        deadline = time.monotonic() + timeout
        while self.populated and time.monotonic() < deadline:
            killed |= self.pids()
            self.kill()
            time.sleep(0.01)  # until they are dead: they need not be our children
        self.remove()
        return len(killed)

    def remove(self) -> None:
        """Remove it, and what a script made below it; not what still lives in it."""
        for directory, _, _ in os.walk(self.path, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()


class Cgroups:
    """A group of ours in which each run is given one of its own."""

    def __init__(self, base: Path) -> None:
        """Take the base: have its processes in a leaf, hand its controllers down.

        Raises:
            OSError: it cannot be used; the text says why.
        """
        self.base = base
        if not (base / "cgroup.procs").exists():
            raise OSError(errno.EINVAL, "is no group of cgroup v2", str(base))
        if not os.access(base, os.W_OK) or not os.access(base / "cgroup.procs", os.W_OK):
            raise PermissionError(errno.EACCES, "is not writable for the IOC", str(base))
        if (base / "cgroup.events").exists():  # all but the root may not have both
            self._make_leaf()
        for name in CONTROLLERS:
            with contextlib.suppress(OSError):  # it is not there, or not handed down to us
                (base / "cgroup.subtree_control").write_text(f"+{name}")
        handed = (base / "cgroup.subtree_control").read_text().split()
        self.controllers: Collection[str] = frozenset(handed) & frozenset(CONTROLLERS)

    def _make_leaf(self) -> None:
        pids = (self.base / "cgroup.procs").read_text().split()
        if not pids:
            return
        leaf = self.base / LEAF
        leaf.mkdir(exist_ok=True)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(pid)

    def of(self, name: str) -> Cgroup:
        """The group of the run with this name; it need not exist."""
        return Cgroup(self.base / name.replace("/", "@"))

    def make(self, name: str, files: Mapping[str, str]) -> Cgroup:
        """Make it anew, and write these files.

        Raises:
            OSError: it cannot be.
        """
        group = self.of(name)
        group.remove()
        group.path.mkdir()
        for file, text in {"cgroup.max.descendants": DESCENDANTS, **files}.items():
            try:
                (group.path / file).write_text(text)
            except FileNotFoundError:
                if file != "memory.swap.max":  # a kernel without swap accounting
                    raise
        return group


def find(setting: str, warn: Callable[[str], None]) -> Cgroups | None:
    """The groups that the setting `cgroup` stands for: "off", a path, or "auto"."""
    if setting == "off":
        return None
    base = delegated() if setting == "auto" else Path(setting)
    if base is None:
        return None
    try:
        return Cgroups(base)
    except OSError as error:
        warn(f"cgroup {error.filename or base}: {error.strerror}: runs have none of their own")
        return None


def delegated() -> Path | None:
    """Our own group, or the one above our leaf, if systemd has marked it as delegated to us."""
    own = own_group()
    if own is None:
        return None
    for path in (own, own.parent):
        for mark in MARKS:
            with contextlib.suppress(OSError):
                if os.getxattr(path, mark) == b"1":
                    return path
    return None


def own_group() -> Path | None:
    """The directory of this process's group, None without cgroup v2."""
    with contextlib.suppress(OSError, StopIteration):
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        # proc(5): id parent major:minor root mountpoint options ... - type source options
        mount = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
        own = Path("/proc/self/cgroup").read_text().splitlines()
        path = next(line[3:] for line in own if line.startswith("0::"))
        return Path(mount, path.lstrip("/"))
    return None
