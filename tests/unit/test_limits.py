"""Limits: when the IOC warns, when it kills a run, and what it says about both."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.limits.limits import (
    Confinement,
    Limits,
    cgroup_files,
    described,
    mechanisms,
    near,
    over,
    rlimits,
)

ALL = Limits(memory=512_000_000, cpu=150.0, tasks=100, files=64)
KERNEL = ("cpu", "memory", "pids")


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.floats(0, 10**5))
def test_no_limit_is_never_reached(memory: int, tasks: int, cpu: float) -> None:
    """Without limits nothing is near one or above it."""
    assert not over(Limits(), memory, tasks)
    assert not near(Limits(), memory, tasks, cpu)


@given(st.integers(0, 10**12), st.integers(0, 10**6))
def test_who_is_over_a_limit_was_warned(memory: int, tasks: int) -> None:
    """A run above its limit was warned about before; a run at its limit is not killed."""
    assert bool(over(ALL, memory, tasks)) == (memory > ALL.memory or tasks > ALL.tasks)
    if over(ALL, memory, tasks):
        assert near(ALL, memory, tasks, 0.0)


def test_reasons() -> None:
    """EXITREASON names the limit."""
    assert over(ALL, 600_000_000, 1) == "memory limit 512 MB"
    assert over(ALL, 1, 101) == "process limit 100"
    assert set(near(ALL, 410_000_000, 80, 120.0)) == {"MEMORY", "PROCS", "CPU"}


def test_all_by_the_kernel() -> None:
    """With all controllers, the kernel enforces the limits, and the IOC sets no rlimit."""
    assert cgroup_files(ALL, KERNEL) == {
        "memory.max": "512000000",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "pids.max": "100",
    }
    assert rlimits(ALL, KERNEL) == {"NOFILE": 64}
    assert "needs a cgroup" not in described(mechanisms(ALL, KERNEL))


def test_without_controllers_nothing_is_pretended() -> None:
    """Without controllers, each limit has a fallback; the log names a limit without one."""
    assert cgroup_files(ALL, ()) == {}
    assert rlimits(ALL, ()) == {"NOFILE": 64, "DATA": 1_280_000_000}
    assert described(mechanisms(ALL, ("pids",))) == (
        "memory_max: watched, rlimit for each process, cpu_max: warned of only,"
        " nproc_max: cgroup, nofile_max: rlimit for each process"
        " (a cgroup is needed to enforce it)"
    )


def test_the_order() -> None:
    """The order has the limits that are set, and always the higher OOM score."""
    assert Confinement(nice=5, rlimits={"NOFILE": 64}).order == "oom=500 nice=5 NOFILE=64"
    assert Confinement().order == "oom=500"
