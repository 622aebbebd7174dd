"""After a fault of the IOC in a launch, the run is killed, its true end is told, STOP works."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from bgrscrpt_ioc.host.system import Guardian, Reaper, Tree
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.lifecycle.events import CommandFailed, State
from bgrscrpt_ioc.limits.watch import Watch
from bgrscrpt_ioc.output.output import Output
from bgrscrpt_ioc.process.process import ScriptProcess
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.script.heartbeat import Heartbeat
from bgrscrpt_ioc.script.kept import Keeper
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.load import Load
from bgrscrpt_ioc.script.registration import Registration
from bgrscrpt_ioc.script.reporter import Reporter
from bgrscrpt_ioc.script.run import Run
from bgrscrpt_ioc.script.scriptfile import ScriptFile
from bgrscrpt_ioc.script.standby import Standby
from bgrscrpt_ioc.script.timers import Timers
from bgrscrpt_ioc.script.witness import Witness
from tests.process.supervised import DEADLINE, Bench

SCRIPT = """
import bgrscrpt, time
from server_common.helpers import register_ioc_start
register_ioc_start("BGRSCRPT_01")
register_ioc_start("ANOTHER")
bgrscrpt.alive()
bgrscrpt.message("a")
bgrscrpt.progress(1)
print("up", flush=True)
time.sleep(1000)
"""

# Every collaborator, with the calls that come after a launch, and how many of these calls are
# tried, because later calls of some differ from the first.
CALLS: dict[type, dict[str, int]] = {
    Guardian: {"open": 3, "close": 3},
    Heartbeat: {"beat": 1},
    Keeper: {"set": 1},
    Launcher: {"release": 1},
    Load: {"begin": 1, "ended": 1},
    Output: {"write": 1, "end": 1, "hold": 1, "divide": 1, "remark": 1, "warn": 1},
    Reaper: {"watch": 3},
    Registration: {"register": 1, "ended": 1, "show": 1},
    Registry: {"register": 1, "stopped": 1},
    Reporter: {"show_state": 1, "show_uptime": 1, "show_retry": 1},
    Run: {"clock_set": 1, "interrupted": 1},
    ScriptFile: {"runs": 1, "look": 1, "show_revision": 1},
    ScriptProcess: {"go": 1, "send": 3, "tell": 1},
    Standby: {"check": 1, "prepare": 1, "go": 1},
    Timers: {"set": 1, "cancel": 1},
    Tree: {"_begin": 3, "_read_output": 3, "begin": 1, "tell": 2, "look": 3},
    Witness: {"seen": 3},
    Watch: {"__init__": 1, "stop": 1},
    Worker: {"do": 1},
}
FAULTS = [
    (owner, name, number + 1)
    for owner, calls in CALLS.items()
    for name, count in calls.items()
    for number in range(count)
]
PUBLISHED = ("PID", "HEARTBEAT", "MESSAGE", "PROGRESS", "STARTTIME", "SCRIPT:SHA256", "PYTHON")
PUBLISHED += ("EXITCODE", "EXITREASON", "STATUS", "STATUS:MSG", "STARTS", "RESTARTS")


class Once:
    """Fails at the call with this number, and does the real thing at all others."""

    def __init__(self, real: Callable[..., Any], number: int) -> None:
        self.real, self.left = real, number

    def __get__(self, instance: Any, _owner: type) -> Callable[..., Any]:
        return lambda *arguments, **named: self(instance, *arguments, **named)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("a fault that was injected")
        return self.real(*arguments, **named)


async def lives_on(bench: Bench) -> None:
    """Command the instance: it never has two copies, and STOP leaves none."""
    supervisor, copies = bench.supervisor, asyncio.create_task(count_copies(bench))
    for command in (supervisor.start, supervisor.restart, supervisor.stop, supervisor.start):
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(CommandFailed, RuntimeError):
                await command("a@h")
    async with asyncio.timeout(DEADLINE):
        await supervisor.stop("a@h")
    copies.cancel()
    most = await copies
    assert bench.processes() == {}
    assert bench.readings.value("STATUS") == State.STOPPED
    assert most <= 1, "two copies"


async def count_copies(bench: Bench) -> int:
    """Count the runs that live at one time, until cancelled. Runs that still check do not count."""
    most = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            runs = {cookie.rpartition("/")[2] for cookie in bench.processes().values()}
            most = max(most, sum(run.isdigit() for run in runs))
            await asyncio.sleep(0.01)
    return most


@pytest.mark.parametrize(
    ("owner", "name", "number"), FAULTS, ids=lambda each: getattr(each, "__name__", str(each))
)
async def test_a_fault_of_ours(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, number: int
) -> None:
    """Whatever raises once, there is no second copy, STOP reaches the run, and START works."""
    bench.supervise(SCRIPT, backoff=0.01, stop_timeout=0.3)
    fault = Once(getattr(owner, name), number)
    monkeypatch.setattr(owner, name, fault)
    await lives_on(bench)
    assert fault.left <= 0, "no call of this number has come: the case tests nothing"


@pytest.mark.parametrize("name", PUBLISHED)
async def test_a_reading_that_cannot_be_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """If the records refuse a reading once, that costs a run at most, and leaves no copy."""
    supervisor = bench.supervise(SCRIPT, backoff=0.01, stop_timeout=0.3)
    refused = Once(lambda: None, 2)
    real = bench.readings.publish

    def publish(reading: str, *arguments: Any) -> None:
        if reading == name:
            refused()
        real(reading, *arguments)

    for holder in (supervisor, bench.script_file, bench.load, supervisor._registration):
        monkeypatch.setattr(holder, "_publish", publish)
    monkeypatch.setattr(supervisor._reporter, "_publish", publish)
    await lives_on(bench)
    assert refused.left <= 0
