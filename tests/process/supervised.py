"""One instance with real children and without Channel Access, and its readings."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.census import started_with
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.system import Guardian, Reaper, own_id
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.limits.usage import ProcessTable
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.output import Output
from bgrscrpt_ioc.output.writer import Writer
from bgrscrpt_ioc.process.order import COOKIE
from bgrscrpt_ioc.records.directory import Directory
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.script.historian import Historian
from bgrscrpt_ioc.script.historyfile import history_of, texts_of
from bgrscrpt_ioc.script.kept import Keeper, KeptFile
from bgrscrpt_ioc.script.keptvalues import KeptValues
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.load import Load
from bgrscrpt_ioc.script.pvs import ScriptPvs
from bgrscrpt_ioc.script.registration import Registration
from bgrscrpt_ioc.script.scriptfile import ScriptFile
from bgrscrpt_ioc.script.stack import Stack
from bgrscrpt_ioc.script.supervisor import Supervisor
from bgrscrpt_ioc.script.witness import Witness

DEADLINE = 120.0  # s: an answer that takes longer is none
# In one write: between the two writes of `print` an interrupt could come.
FOREVER = "import sys, time\nsys.stdout.write('up\\n')\ntime.sleep(1000)\n"


class Readings(dict[str, tuple[Any, Severity]]):
    """What the supervisor has published, and a way to wait for more."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.history: list[tuple[str, Any]] = []

    def publish(self, name: str, value: Any, severity: Severity = Severity.NO_ALARM) -> None:
        if self.get(name) != (value, severity):
            self[name] = (value, severity)
            self.history.append((name, value))
            self._changed.set()

    def value(self, name: str) -> Any:
        return self[name][0]

    async def until(self, name: str, good: Callable[[Any], bool] | Any) -> None:
        """Wait until a reading has a value.

        If it does not get it, fail with the value that it has.
        """
        is_good = good if callable(good) else (lambda value: value == good)
        try:
            async with asyncio.timeout(DEADLINE):
                while not (name in self and is_good(self.value(name))):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"{name} is {self.get(name)}: {dict(self)}")


class Bench:
    """A supervisor and all that it needs, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.script = directory / "script.py"
        self.database = directory / "iocdb.sqlite"
        self.readings = Readings()
        self.reaper = Reaper()
        self.reaper.start()
        self.ioc_id = own_id()
        self.key = f"test{os.getpid()}/BGRSCRPT_01"
        self.guardian = Guardian(self.reaper, self.ioc_id)
        self.guardian.start()
        loop = asyncio.get_running_loop()
        self.registry = Registry(
            f"sqlite:///{self.database}",
            directory,
            lambda _name: loop.call_soon_threadsafe(self.supervisor.registry_changed) and None,
        )
        self.worker = Worker()
        self.writer = Writer("test")
        self.supervisor: Supervisor

    def supervise(self, text: str = FOREVER, **settings: Any) -> Supervisor:
        """Write the script and make its supervisor."""
        self.write(text)
        values = {
            "name": "BGRSCRPT_01",
            "script": self.script,
            "python": sys.executable,
            "cwd": self.directory,
            "backoff": 0.05,
            "stop_timeout": DEADLINE / 2,  # a busy machine may keep a polite script waiting
        }
        instance = InstanceSettings(**{**values, **settings})
        name = instance.name
        witness = Witness(name, self.readings.publish)
        publish = witness.publish
        log = LogFile(self.directory / "log", name, self.writer)
        self.output = Output(name, 16000, log, None, publish)
        self.launcher = Launcher(
            instance,
            self.key,
            prefix="TE:",
            ioc_id=self.ioc_id,
            reaper=self.reaper,
            guardian=self.guardian,
            worker=self.worker,
        )
        self.script_file = ScriptFile(
            name, self.script, worker=self.worker, reaper=self.reaper, publish=publish
        )
        self.historian = Historian(
            name,
            str(self.script),
            file=history_of(self.directory, f"TE:{name}"),
            texts=texts_of(self.directory, f"TE:{name}"),
            get_text=self.script_file.get_text,
            worker=self.worker,
            publish=publish,
        )
        witness.add(self.historian)
        self.load = Load(instance.limits, ProcessTable(), self.worker, self.output, publish)
        self.made = Directory({})
        kept = KeptValues(self.directory / "pvs.json", self.worker)
        pvs = ScriptPvs("TE:", name, self.made, kept)
        registration = Registration(name, self.registry, lambda: pvs.rows, publish)
        pvs.when_changed.append(registration.pvs_changed)
        self.supervisor = Supervisor(
            instance,
            launcher=self.launcher,
            guardian=self.guardian,
            registration=registration,
            script=self.script_file,
            use=self.load,
            stack=Stack(self.worker, self.output, publish),
            keeper=Keeper(KeptFile(self.directory / "state.json"), self.worker),
            pvs=pvs,
            output=self.output,
            publish=publish,
            witness=witness,
        )
        return self.supervisor

    def processes(self) -> dict[int, str]:
        """Return the processes of the instance, with their cookies."""
        found = started_with(COOKIE)
        return {pid: cookie for pid, cookie in found.items() if f"/{self.key}/" in cookie}

    def write(self, text: str) -> None:
        self.script.write_text(textwrap.dedent(text))

    async def close(self) -> None:
        await self.supervisor.shutdown()
        await asyncio.to_thread(self.registry.close, DEADLINE)
        self.worker.close(DEADLINE)
        self.writer.close(DEADLINE)
        ended = asyncio.get_running_loop().create_future()
        if self.guardian.pid:
            self.reaper.watch(self.guardian.pid, ended.set_result)
        else:
            ended.set_result(0)  # there is none on Windows
        self.guardian.stop()
        await ended
        self.reaper.stop()
