"""What an instance may take, by which mechanism it is held to it, and the words that say so.

Pure: it reads no usage and sets no limit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

WARN_AT = 0.8  # of a limit
# RLIMIT_DATA counts what a process has asked for, not what it uses; numpy and threads ask for much.
WALL_FACTOR, WALL_MARGIN = 2, 256_000_000
OOM_SCORE = 500  # of 1000, added to the IOC's own: the kernel kills a script before its IOC

CGROUP, RLIMIT, WATCHED, WARNED = "cgroup", "rlimit", "watched", "warned of only"
PERIOD = 100_000  # us, of cpu.max


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a whole run; `files` of each of its processes. 0 is no limit."""

    memory: int = 0  # bytes in RAM; what processes share counts once
    cpu: float = 0.0  # % of one core
    tasks: int = 0  # processes and threads, as pids.max and RLIMIT_NPROC count
    files: int = 0  # open descriptors

    @property
    def watched(self) -> bool:
        """Is there one whose use must be looked at?"""
        return bool(self.memory or self.cpu or self.tasks)

    @property
    def memory_text(self) -> str:
        """For EXITREASON."""
        return f"memory limit {self.memory / 1e6:g} MB"

    @property
    def tasks_text(self) -> str:
        """For EXITREASON."""
        return f"process limit {self.tasks}"


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the bootstrap does to its process before any line of the script."""

    limits: Limits = field(default_factory=Limits)
    cgroup: str = ""  # its directory, if the run has one
    rlimits: Mapping[str, int] = field(default_factory=dict)  # {"NOFILE": 1024}
    nice: int = 0

    @property
    def order(self) -> str:
        """As the bootstrap reads it: `nice=5 NOFILE=1024`."""
        parts = {"oom": OOM_SCORE, "nice": self.nice, **self.rlimits}
        return " ".join(f"{key}={value}" for key, value in parts.items() if value)


def mechanisms(limits: Limits, controllers: Collection[str]) -> dict[str, str]:
    """By what each limit that is set is enforced: {key of the settings: mechanism}."""
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
    """Which mechanism holds which limit, in one line for the log."""
    text = ", ".join(f"{key}: {how}" for key, how in found.items())
    return text + (" (to enforce it needs a cgroup)" if WARNED in found.values() else "")


def cgroup_files(limits: Limits, controllers: Collection[str]) -> dict[str, str]:
    """What to write into a run's cgroup: {file: text}."""
    files: dict[str, str] = {}
    if limits.memory and "memory" in controllers:
        files |= {
            "memory.max": str(limits.memory),
            "memory.swap.max": "0",
            "memory.oom.group": "1",  # half a script is no use, and would hide why
        }
    if limits.cpu and "cpu" in controllers:
        files["cpu.max"] = f"{max(1000, round(limits.cpu * PERIOD / 100))} {PERIOD}"
    if limits.tasks and "pids" in controllers:
        files["pids.max"] = str(limits.tasks)
    return files


def rlimits(limits: Limits, controllers: Collection[str]) -> dict[str, int]:
    """What each process is held to by the kernel."""
    found: dict[str, int] = {}
    if limits.files:
        found["NOFILE"] = limits.files
    if limits.memory and "memory" not in controllers:
        found["DATA"] = WALL_FACTOR * limits.memory + WALL_MARGIN
    return found


def over(limits: Limits, memory: float, tasks: int) -> str:
    """Why a run that takes so much is killed, or "": it may go on."""
    if limits.memory and memory > limits.memory:
        return limits.memory_text
    if limits.tasks and tasks > limits.tasks:
        return limits.tasks_text
    return ""


def near(limits: Limits, memory: float, tasks: int, cpu: float) -> dict[str, str]:
    """Which readings are near their limit or above: {PV: text}."""
    found: dict[str, str] = {}
    if limits.memory and memory >= WARN_AT * limits.memory:
        found["MEMORY"] = f"memory is near its limit of {limits.memory / 1e6:g} MB"
    if limits.tasks and tasks >= WARN_AT * limits.tasks:
        found["PROCS"] = f"processes and threads are near their limit of {limits.tasks}"
    if limits.cpu and cpu >= WARN_AT * limits.cpu:
        found["CPU"] = f"processor time is near its limit of {limits.cpu:g} %"
    return found
