"""Control groups (cgroup v2): the group of a run has, and kills, exactly the run's processes.

This file knows no scripts and no limits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from bgrscrpt_ioc.host.contract import Process
from bgrscrpt_ioc.host.posix.processes import living, look_up
from bgrscrpt_ioc.host.posix.signals import send

LEAF = "ioc"  # group for processes of the base: a group with controllers cannot have processes
CONTROLLERS = ("cpu", "memory", "pids")
DESCENDANTS = "64"  # groups that a script may make below its own group
PATIENCE = 5.0  # s after SIGKILL; a process that still lives hangs in the kernel
MARKS = ("user.delegate", "trusted.delegate")  # systemd.resource-control(5), Delegate=


class Cgroup:
    """The group of one run; it may not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pids(self) -> set[int]:
        """Return the pids of all processes in it and below it."""
        found: set[int] = set()
        for directory, _, _ in os.walk(self.path):
            with contextlib.suppress(
                OSError
            ):  # gone meanwhile, or a threaded group, which its parent counts
                found.update(map(int, Path(directory, "cgroup.procs").read_text().split()))
        return found - {0}

    def processes(self, everyone: Mapping[int, Process] | None = None) -> dict[int, Process]:
        """Return these processes from the process table (or from `everyone`)."""
        everyone = everyone or {}
        found = ((pid, everyone.get(pid) or look_up(pid)) for pid in self.pids())
        return {pid: process for pid, process in found if process is not None}

    @property
    def populated(self) -> bool:
        """Return whether any process lives in it. Exact, however fast processes come and go."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except OSError:
            return False

    @property
    def out_of_memory_kills(self) -> int | None:
        """Return how often the kernel killed in it for memory; None without a memory controller."""
        try:
            events = (self.path / "memory.events").read_text()
            return int(events.partition("oom_kill ")[2].split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def kill(self) -> None:
        """Send SIGKILL to all of it at once, including processes that are being forked."""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except OSError:  # Linux older than 5.14
            with contextlib.suppress(OSError):
                (self.path / "cgroup.freeze").write_text("1")
            send(self.pids(), signal.SIGKILL)

    def end(self, timeout: float = PATIENCE) -> int:
        """Kill all of it and remove it; return how many processes there were. Blocks."""
        killed: set[int] = set()
        deadline = time.monotonic() + timeout
        while self.populated and time.monotonic() < deadline:
            killed |= self.pids()
            self.kill()
            time.sleep(0.01)  # until they are dead: they may not be our children
        self.remove()
        return len(killed)

    def remove(self) -> None:
        """Remove it and the groups that a script made below it, if no process lives in them."""
        for directory, _, _ in os.walk(self.path, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()


class Cgroups:
    """A group of ours in which each run has a group of its own."""

    def __init__(self, base: Path, ioc_id: str) -> None:
        """Take over the base: move its processes into a leaf, and pass its controllers down.

        Other IOC processes may use the base too. The groups of the IOC process `ioc_id` are only
        its own.

        Raises:
            OSError: the base cannot be used; the text says why.
        """
        self.base, self._ioc_id = base, ioc_id
        if not (base / "cgroup.procs").exists():
            raise OSError(errno.EINVAL, "is no group of cgroup v2", str(base))
        if not os.access(base, os.W_OK) or not os.access(base / "cgroup.procs", os.W_OK):
            raise PermissionError(errno.EACCES, "is not writable for the IOC", str(base))
        if (base / "cgroup.events").exists():  # only the root may have both
            self._make_leaf()
        for name in CONTROLLERS:
            # This controller does not exist, or is not passed down to us.
            with contextlib.suppress(OSError):
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

    def of(self, key: str) -> Cgroup:
        """Return the group for a run of the instance `key`; it need not exist."""
        return Cgroup(self.base / f"{self._ioc_id}{_at(key)}")

    def end_leftovers(self, keys: Iterable[str]) -> int:
        """Kill what dead IOCs left of these instances in their groups; return how many processes.

        Blocks.
        """
        ends = tuple(_at(key) for key in keys)
        names = [path.name for path in self.base.iterdir() if path.name.endswith(ends)]
        owners = {name: name.partition("@")[0] for name in names}
        alive = living(owners.values())
        return sum(
            Cgroup(self.base / name).end() for name, ioc in owners.items() if ioc not in alive
        )

    def make(self, key: str, files: Mapping[str, str]) -> Cgroup:
        """Make a new group for a run, and write these files.

        Raises:
            OSError: it cannot be made.
        """
        group = self.of(key)
        group.remove()
        group.path.mkdir()
        for file, text in {"cgroup.max.descendants": DESCENDANTS, **files}.items():
            try:
                (group.path / file).write_text(text)
            except FileNotFoundError:
                if file != "memory.swap.max":  # a kernel does not count swap
                    raise
        return group


def _at(key: str) -> str:
    return "@" + key.replace("/", "@")


def find_cgroups(setting: str, ioc_id: str, warn: Callable[[str], None]) -> Cgroups | None:
    """Return the groups for a value of the setting `cgroup`: "off", a path, or "auto"."""
    if setting == "off":
        return None
    base = delegated() if setting == "auto" else Path(setting)
    if base is None:
        return None
    try:
        return Cgroups(base, ioc_id)
    except OSError as error:
        warn(f"cgroup {error.filename or base}: {error.strerror}: runs get no cgroup of their own")
        return None


def delegated() -> Path | None:
    """Return our own group, or the one above our leaf, if systemd has delegated it to us."""
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
    """Return the directory of this process's group; None without cgroup v2."""
    with contextlib.suppress(OSError, StopIteration):
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        # proc(5): id parent major:minor root mountpoint options ... - type source options
        mount = next(line.split()[4] for line in mounts if " - cgroup2 " in line)
        own = Path("/proc/self/cgroup").read_text().splitlines()
        path = next(line[3:] for line in own if line.startswith("0::"))
        return Path(mount, path.lstrip("/"))
    return None
