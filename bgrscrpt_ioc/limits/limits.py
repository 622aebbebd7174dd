"""The limits of an instance, the mechanism that enforces each, and the words for them.

Pure: it measures nothing and sets nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

WARN_AT = 0.8  # of a limit: from there on the use is near the limit
# RLIMIT_DATA counts the memory that a process asks for, not what it uses. numpy and threads ask for
# much more than they use.
WALL_FACTOR, WALL_MARGIN = 2, 256_000_000
OOM_SCORE = 500  # of 1000, added to the IOC's own, so that the kernel kills a script before its IOC

CGROUP, RLIMIT, WATCHED, WARNED = "cgroup", "rlimit", "watched", "warned of only"
PERIOD = 100_000  # us, of cpu.max


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a whole run; `files` counts for each of its processes. 0 is no limit."""

    memory: int = 0  # bytes in RAM; memory that processes share counts once
    cpu: float = 0.0  # % of one core
    tasks: int = 0  # processes and threads, as pids.max and RLIMIT_NPROC count
    files: int = 0  # open descriptors

    @property
    def watched(self) -> bool:
        """Return whether a limit needs somebody to look at the use."""
        return bool(self.memory or self.cpu or self.tasks)

    @property
    def memory_text(self) -> str:
        """Return what EXITREASON says of too much memory."""
        return f"memory limit {self.memory / 1e6:g} MB"

    @property
    def tasks_text(self) -> str:
        """Return what EXITREASON says of too many processes and threads."""
        return f"process limit {self.tasks}"


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the bootstrap does to its process before the script begins."""

    limits: Limits = field(default_factory=Limits)
    cgroup: str = ""  # the directory of the run's cgroup, if it has one
    rlimits: Mapping[str, int] = field(default_factory=dict)  # {"NOFILE": 1024}
    nice: int = 0

    @property
    def order(self) -> str:
        """Return the text that the bootstrap reads: `nice=5 NOFILE=1024`."""
        parts = {"oom": OOM_SCORE, "nice": self.nice, **self.rlimits}
        return " ".join(f"{key}={value}" for key, value in parts.items() if value)


def mechanisms(limits: Limits, controllers: Collection[str]) -> dict[str, str]:
    """Return how each limit is enforced: {key of the settings: mechanism}."""
    found: dict[str, str] = {}
    if limits.memory:
        by_kernel = "memory" in controllers
        found["memory_max"] = CGROUP if by_kernel else f"{WATCHED}, {RLIMIT} for each process"
    if limits.cpu:
        found["cpu_max"] = CGROUP if "cpu" in controllers else WARNED
    if limits.tasks:
        found["nproc_max"] = CGROUP if "pids" in controllers else WATCHED
    if limits.files:
        found["nofile_max"] = f"{RLIMIT} for each process"
    return found


def described(found: Mapping[str, str]) -> str:
    """Return in one line for the log which mechanism enforces which limit."""
    text = ", ".join(f"{key}: {how}" for key, how in found.items())
    return text + (" (a cgroup is needed to enforce it)" if WARNED in found.values() else "")


def cgroup_files(limits: Limits, controllers: Collection[str]) -> dict[str, str]:
    """Return what to write into a run's cgroup: {file: text}."""
    files: dict[str, str] = {}
    if limits.memory and "memory" in controllers:
        files |= {
            "memory.max": str(limits.memory),
            "memory.swap.max": "0",
            "memory.oom.group": "1",  # half a script is of no use, and would hide why
        }
    if limits.cpu and "cpu" in controllers:
        files["cpu.max"] = f"{max(1000, round(limits.cpu * PERIOD / 100))} {PERIOD}"
    if limits.tasks and "pids" in controllers:
        files["pids.max"] = str(limits.tasks)
    return files


def rlimits(limits: Limits, controllers: Collection[str]) -> dict[str, int]:
    """Return the limits that the kernel enforces for each process."""
    found: dict[str, int] = {}
    if limits.files:
        found["NOFILE"] = limits.files
    if limits.memory and "memory" not in controllers:
        found["DATA"] = WALL_FACTOR * limits.memory + WALL_MARGIN
    return found


def over(limits: Limits, memory: float, tasks: int) -> str:
    """Return why a run that uses so much is killed; "" if it may go on."""
    if limits.memory and memory > limits.memory:
        return limits.memory_text
    if limits.tasks and tasks > limits.tasks:
        return limits.tasks_text
    return ""


def near(limits: Limits, memory: float, tasks: int, cpu: float) -> dict[str, str]:
    """Return the readings that are near their limit or above: {PV: text}."""
    found: dict[str, str] = {}
    if limits.memory and memory >= WARN_AT * limits.memory:
        found["MEMORY"] = f"memory is near its limit of {limits.memory / 1e6:g} MB"
    if limits.tasks and tasks >= WARN_AT * limits.tasks:
        found["PROCS"] = f"processes and threads are near their limit of {limits.tasks}"
    if limits.cpu and cpu >= WARN_AT * limits.cpu:
        found["CPU"] = f"processor time is near its limit of {limits.cpu:g} %"
    return found
