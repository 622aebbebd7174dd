"""A reload with real scripts and no Channel Access: a fault at any step leaves no mixture."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.census import started_with
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.hold import Hold, TakenError
from bgrscrpt_ioc.host.system import Guardian, Reaper, own_id
from bgrscrpt_ioc.host.worker import Threads
from bgrscrpt_ioc.ioc import reload as reload_module
from bgrscrpt_ioc.ioc.instance import Parts, ServedInstance
from bgrscrpt_ioc.ioc.instances import Instances, claim
from bgrscrpt_ioc.ioc.names import key_of, lock_of
from bgrscrpt_ioc.ioc.reload import DONE, FAILED, REFUSED, Reload, Report
from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.limits.usage import ProcessTable
from bgrscrpt_ioc.output.logs import Logs
from bgrscrpt_ioc.process.order import COOKIE
from bgrscrpt_ioc.records.directory import Directory
from bgrscrpt_ioc.records.ownreadings import OwnReadings
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.supervisor import Supervisor
from tests.process.scripts import DEADLINE

# Two at a time of one script would be told by the lock that the second does not get.
ALONE = """
import fcntl, sys, time
lock = open(sys.argv[0] + ".lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    open(sys.argv[0] + ".twice", "w").close()
while True:
    time.sleep(1000)
"""


class Bench:
    """All of an IOC but its server; `settings` is what its file says."""

    def __init__(self, directory: Path, instances: dict[str, dict[str, Any]]) -> None:
        self.directory = directory
        self.port = 20_000 + os.getpid() % 20_000
        self.settings = self.file(instances)
        self.open_config = self.taken_by = ""
        self.reaper = Reaper()
        self.reaper.start()
        self.guardian = Guardian(self.reaper, own_id())
        self.guardian.start()
        self.threads, self.logs = Threads(), Logs(directory / "log")
        self.registry = Registry(self.settings.registry, directory, lambda _name: None)
        parts = Parts(
            self.settings,
            own_id(),
            self.reaper,
            self.guardian,
            None,
            self.registry,
            self.threads,
            ProcessTable(),
            self.logs,
            None,
            Directory({}),
            OwnReadings(list(instances), None),
        )
        self.hold = Hold()
        claim(self.hold, self.settings, self.settings.instances)
        self.instances = Instances(parts, self.hold)
        for each in self.settings.instances:
            self.instances.serve(self.instances.make(each, ""))
            self.instances[each.name].supervisor.begin()
        self.reload = Reload(
            self.settings, self.instances, self, begins=self.begins, ends=self.ends
        )

    def file(self, instances: dict[str, dict[str, Any]]) -> IocSettings:
        """The settings of a file with these instances."""
        base = {"python": sys.executable, "cwd": self.directory, "stop_timeout": DEADLINE}
        return IocSettings(
            prefix="TE:",
            port=self.port,
            registry=f"sqlite:///{self.directory}/iocdb.sqlite",
            log_dir=self.directory / "log",
            state_dir=self.directory / "state",
            instances=tuple(
                InstanceSettings(**{**base, "name": name, **more})
                for name, more in instances.items()
            ),
        )

    def read(self) -> tuple[IocSettings, str]:
        return self.settings, self.open_config

    def taken(self, settings: IocSettings) -> str:
        assert settings.instances
        return self.taken_by

    def begins(self) -> None:
        """Hear of a begin."""

    async def ends(self) -> None:
        """Hear of an end."""

    async def reloaded(self, *, dry: bool = False) -> tuple[int, list[str]]:
        """Reload; how it has ended, and what was said."""
        said: list[str] = []
        async with asyncio.timeout(DEADLINE):
            code = await self.reload._begin(Report(said.append), dry=dry)
        return code, said

    def shown(self) -> dict[str, Any]:
        """What configuration the IOC goes by: all that any part of it has of the settings."""
        return {
            each.settings.name: (
                each.settings,
                each._launcher._instance,
                each.supervisor.instance,
                each._load._limits,
                each._script._path,
                each._followers._announcer._commands,
                each._followers._on_change._mode,
                each._followers._historian._script,
            )
            for each in self.instances
        }

    def of(self, settings: IocSettings) -> dict[str, Any]:
        """What `shown` is by these settings."""
        return {
            each.name: (
                each,
                each,
                each,
                each.limits,
                each.script,
                dict(each.notify),
                each.on_change,
                str(each.script),
            )
            for each in settings.instances
        }

    def names(self) -> set[str]:
        """The instances whose PVs are served."""
        return {name.split(":")[1] for name in self.instances.parts.directory.by_full_name}

    async def until(self, name: str, state: State) -> None:
        """Wait until an instance is in a state."""
        async with asyncio.timeout(DEADLINE):
            while self.instances[name].supervisor.state is not state:
                await asyncio.sleep(0.01)

    def pids(self, name: str) -> set[int]:
        """The processes of an instance's script."""
        cookies = started_with(COOKIE)
        return {pid for pid, cookie in cookies.items() if f"/{self.port}/TE:{name}/" in cookie}

    async def close(self) -> None:
        await self.reload.close()
        await self.instances.end()
        self.guardian.stop()
        await asyncio.to_thread(self.registry.close, DEADLINE)
        self.threads.close(DEADLINE)
        self.logs.close(DEADLINE)
        self.reaper.stop()
        self.hold.release()


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that knows whether it runs twice."""
    path = tmp_path / "script.py"
    path.write_text(ALONE)
    return path


def copies(tmp_path: Path, number: int) -> list[Path]:
    """Several such scripts."""
    paths = [tmp_path / f"script{which}.py" for which in range(number)]
    for path in paths:
        path.write_text(ALONE)
    return paths


STEPS: list[tuple[Any, str]] = [
    (Bench, "read"),
    (Bench, "taken"),
    (Bench, "begins"),
    (Bench, "ends"),
    (reload_module, "plan_of"),
    (reload_module, "claim"),
    (Hold, "take"),
    (Hold, "release"),
    (Launcher, "check"),
    (Instances, "make"),
    (Instances, "serve"),
    (Instances, "show_names"),
    (Instances, "prepare"),
    (Instances, "remove"),
    (Instances, "withdraw"),
    (ServedInstance, "take"),
    (ServedInstance, "end"),
    (ServedInstance, "written"),
    (ServedInstance, "discard"),
    (Supervisor, "take"),
    (Supervisor, "settle"),
    (Supervisor, "begin"),
    (Supervisor, "restart"),
    (Supervisor, "shutdown"),
    (Directory, "extend"),
    (Directory, "remove"),
    (Registry, "reconcile"),
]


class Injection:
    """Raises at the n-th of all calls of the steps, once it is armed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.armed, self._left, self.at = False, number, ""
        for owner, name in STEPS:
            monkeypatch.setattr(owner, name, self._wrapped(owner, name))

    def _wrapped(self, owner: Any, name: str) -> Callable[..., Any]:
        real = getattr(owner, name)

        def step(*arguments: Any, **more: Any) -> Any:
            if self.armed:
                self._left -= 1
                if self._left < 0:
                    self.armed, self.at = False, f"{getattr(owner, '__name__', '')}.{name}"
                    raise RuntimeError("injected")
            return real(*arguments, **more)

        return step


@pytest.mark.timeout(600)
async def test_a_fault_at_any_step_leaves_no_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it the IOC goes by the old settings or by the new, all of it; no script runs twice."""
    seen: list[str] = []
    for number in range(1000):
        directory = tmp_path / str(number)
        directory.mkdir()
        with monkeypatch.context() as patch:
            if not (at := await inject(directory, patch, number)):
                break
        seen.append(at)
    missed = {f"{getattr(owner, '__name__', '')}.{name}" for owner, name in STEPS} - set(seen)
    assert missed == {"Hold.release"} or not missed, missed
    print(seen)


async def inject(directory: Path, patch: pytest.MonkeyPatch, number: int) -> str:
    """Reload with a fault at one step; which it was, or "" if there are not so many."""
    one, two, three = copies(directory, 3)
    old = {
        "A": {"script": one},
        "B": {"script": two},
        "C": {"script": three, "at_start": "stop"},
    }
    new = {
        "A": {"script": one, "env": {"X": "1"}, "notify": {"on_failure": ("true",)}},
        "C": {"script": three, "at_start": "stop", "on_change": "check", "memory_max": 10**9},
        "D": {"script": two},
    }
    injection = Injection(patch, number)
    bench = Bench(directory, old)
    try:
        for name in "AB":
            await bench.until(name, State.RUNNING)
        before, bench.settings = bench.settings, bench.file(new)
        injection.armed = True
        code, said = await bench.reloaded()
        injection.armed = False
        now = bench.reload.settings
        assert now in (before, bench.settings)
        assert bench.shown() == bench.of(now), (injection.at, said)
        assert bench.names() == {each.name for each in now.instances}, (injection.at, said)
        if code == REFUSED:
            assert now == before, (injection.at, said)
            assert said[-1].endswith("nothing is changed")
            others = Hold()
            (added,) = (each for each in bench.settings.instances if each.name == "D")
            others.take(key_of(now, added), lock_of(now, added))  # it is not held
            others.release()
        assert not list(directory.glob("*.twice")), (injection.at, said)
        for name in ("A", "C"):
            assert len(bench.pids(name)) == (name == "A"), (injection.at, name, said)
        assert len(bench.pids("B")) + len(bench.pids("D")) <= 1, (injection.at, said)
    finally:
        await bench.close()
    return injection.at


async def test_only_what_is_changed_is_touched(tmp_path: Path) -> None:
    """An instance that stays keeps its process; a policy is taken on without a restart."""
    one, two = copies(tmp_path, 2)
    bench = Bench(tmp_path, {"A": {"script": one}, "B": {"script": two}})
    try:
        await bench.until("A", State.RUNNING)
        await bench.until("B", State.RUNNING)
        before = bench.pids("A"), bench.pids("B")
        bench.settings = bench.file({
            "A": {"script": one, "restart": "never", "autorestart": False},
            "B": {"script": two, "args": ("x",)},
        })  # fmt: skip
        code, said = await bench.reloaded(dry=True)
        assert (code, said[-1]) == (DONE, "nothing is changed: --dry-run")
        assert bench.shown() == bench.of(bench.reload.settings)
        code, said = await bench.reloaded()
        assert (code, said) == (
            DONE,
            [
                "A: take on autorestart, restart; the script goes on",
                "B: restart the script, for args has changed",
                "done: 1 restarted, 1 changed without a restart",
            ],
        )
        assert bench.pids("A") == before[0]
        assert len(bench.pids("B")) == 1
        assert bench.pids("B") != before[1]
        assert bench.instances["A"].supervisor._machine.policy.restart == "never"
        assert bench.instances["A"].pvs.record("AUTORESTART").value == 0
        assert (await bench.reloaded())[1] == [
            "the settings are as they were: there is nothing to do"
        ]
    finally:
        await bench.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_removed_instance_leaves_nothing(tmp_path: Path, script: Path) -> None:
    """After many that came and went there is no more of objects, tasks and open files."""
    keeps = {"A": {"script": script, "at_start": "stop"}}
    bench = Bench(tmp_path, keeps)
    try:
        counts: list[tuple[int, int]] = []
        references: list[weakref.ref[Any]] = []
        for _ in range(4):
            bench.settings = bench.file({**keeps, "B": {"script": script, "on_change": "check"}})
            assert (await bench.reloaded())[0] == DONE
            await bench.until("B", State.RUNNING)
            references.append(weakref.ref(bench.instances["B"]))
            bench.settings = bench.file(keeps)
            assert (await bench.reloaded())[0] == DONE
            gc.collect()
            counts.append((open_files(), len(asyncio.all_tasks())))
        assert counts[-1][1] == counts[1][1], counts
        async with asyncio.timeout(DEADLINE):  # a thread may have a file open just now
            while open_files() > counts[1][0]:
                await asyncio.sleep(0.05)
        assert [each() for each in references[:-1]] == [None] * 3
    finally:
        await bench.close()


async def test_what_refuses_a_reload(tmp_path: Path, script: Path) -> None:
    """A bad file, a script that cannot run, a name that is taken: each is said, and all stays."""
    bench = Bench(tmp_path, {"A": {"script": script}})
    old = bench.settings
    try:
        await bench.until("A", State.RUNNING)
        running = bench.pids("A")
        bad = tmp_path / "bad.py"
        bad.write_text("def\n")
        other = Hold()
        bench.settings = bench.file({"A": {"script": script}, "B": {"script": script}})
        other.take(key_of(old, bench.settings.instances[1]), tmp_path / "b.lock")
        cases: list[tuple[dict[str, dict[str, Any]], str]] = [
            ({"A": {"script": bad}}, "[instance.A] script: SyntaxError"),
            ({"A": {"script": tmp_path / "none.py"}}, "[instance.A] script: "),
            ({"A": {"script": script}, "C": {"script": bad}}, "[instance.C] script: SyntaxError"),
            ({"A": {"script": script}, "B": {"script": script}}, "is already served on this host"),
            ({"A": {"script": script, "log_tail": 999}}, "[instance.A] log_tail: has changed"),
        ]
        for file, why in cases:
            bench.settings = bench.file(file)
            code, said = await bench.reloaded()
            assert (code, said[-1]) == (REFUSED, "nothing is changed")
            assert why in said[-2]
            assert bench.shown() == bench.of(old)
        other.release()
        bench.taken_by = "TE:B:STATUS is served already"
        bench.settings = bench.file({"A": {"script": script}, "B": {"script": script}})
        assert (await bench.reloaded())[1][-2] == bench.taken_by
        with pytest.MonkeyPatch.context() as patch:

            def unreadable(_self: Bench) -> None:
                raise ConfigError("i.toml: cannot be read", "and more")

            patch.setattr(Bench, "read", unreadable)
            expected = ["i.toml: cannot be read", "and more", "nothing is changed"]
            assert await bench.reloaded() == (REFUSED, expected)
        assert bench.pids("A") == running
        assert bench.reload.settings == old
        other.take(key_of(old, bench.settings.instances[1]), tmp_path / "b.lock")  # it is free
        other.release()
    finally:
        await bench.close()


async def test_an_end_that_fails_keeps_the_name(
    tmp_path: Path, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SIGKILL cannot end keeps its name, and its script is started by no other instance."""
    bench = Bench(tmp_path, {"A": {"script": script}, "Z": {"script": script, "at_start": "stop"}})
    try:
        await bench.until("A", State.RUNNING)

        async def hangs(_self: Supervisor, _why: str = "") -> str:
            return "SIGKILL has not ended it"

        key = key_of(bench.settings, bench.settings.instances[0])
        rest = {"Z": {"script": script, "at_start": "stop"}}
        bench.settings = bench.file({**rest, "B": {"script": script}})
        with monkeypatch.context() as patch:
            patch.setattr(Supervisor, "shutdown", hangs)
            code, said = await bench.reloaded()
        assert code == FAILED
        assert said[-3:] == [
            "A: its name stays taken until the IOC ends: SIGKILL has not ended it",
            "B: not started: its script may run still",
            "done, but for what is said above",
        ]
        with pytest.raises(TakenError):
            Hold().take(key, tmp_path / "a.lock")
        assert bench.names() == {"Z", "B"}
    finally:
        await bench.close()


async def test_the_end_of_the_ioc_gives_up_a_reload(tmp_path: Path, script: Path) -> None:
    """A reload that still prepares is given up, and one that waits for its turn is refused."""
    bench = Bench(tmp_path, {"A": {"script": script}})
    try:
        await bench.until("A", State.RUNNING)
        old, bench.settings = bench.settings, bench.file({"B": {"script": script}})
        said: list[str] = []
        going = bench.reload._begin(Report(said.append), dry=False)
        waiting = bench.reload._begin(Report(said.append), dry=False)
        while not said:
            await asyncio.sleep(0)
        await bench.reload.close()
        assert going.cancelled()
        assert await waiting == REFUSED
        assert said[-1] == "the IOC is ending; nothing is changed"
        assert bench.shown() == bench.of(old)
    finally:
        await bench.close()
