"""One instance that is served: its PVs, its output and its script, made of what instances share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.config.weblinks import as_lines
from bgrscrpt_ioc.host.system import Cgroups, Guardian, Reaper
from bgrscrpt_ioc.host.worker import Threads, Worker
from bgrscrpt_ioc.ioc.names import files_of, key_of, state_of, values_of
from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.limits.usage import ProcessTable
from bgrscrpt_ioc.output.echo import Echo
from bgrscrpt_ioc.output.logs import Logs
from bgrscrpt_ioc.records.directory import Directory
from bgrscrpt_ioc.records.instance import InstanceRecords, registry_rows
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.records.ownreadings import OwnReadings
from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.script.followers import Followers
from bgrscrpt_ioc.script.kept import Keeper, KeptFile
from bgrscrpt_ioc.script.keptvalues import KeptValues
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.load import Load
from bgrscrpt_ioc.script.pvlist import PvList
from bgrscrpt_ioc.script.pvs import ScriptPvs
from bgrscrpt_ioc.script.registration import Registration
from bgrscrpt_ioc.script.scriptfile import ScriptFile
from bgrscrpt_ioc.script.stack import Stack
from bgrscrpt_ioc.script.supervisor import Supervisor
from bgrscrpt_ioc.script.witness import Witness

# States in which other settings of the run are followed by a restart. What is going down is
# launched by the new ones, if it is; what a user has stopped, or has come to its end, is left so.
RESTARTED = (State.STARTING, State.RUNNING, State.BACKOFF, State.FAILED)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the instances of an IOC share; `settings` are those that no reload changes."""

    settings: IocSettings
    ioc_id: str
    reaper: Reaper
    guardian: Guardian
    cgroups: Cgroups | None
    registry: Registry
    threads: Threads
    processes: ProcessTable
    logs: Logs
    echo: Echo | None
    directory: Directory
    own: OwnReadings


class ServedInstance:
    """One instance: nothing runs before `begin`, and no face shows its PVs before they are served.

    Attributes:
        settings: its settings.
        open_config: that others may change the configuration, if they may.
        supervisor: carries out its commands.
        pvs: its records.
    """

    def __init__(self, settings: InstanceSettings, parts: Parts, open_config: str) -> None:
        """Make all its parts."""
        self.settings, self.open_config = settings, open_config
        self._parts, self._workers = parts, list[Worker]()
        ioc, name = parts.settings, settings.name
        self.key = key_of(ioc, settings)
        self.pvs = InstanceRecords(
            ioc.prefix,
            name,
            log_tail=settings.log_tail,
            procserv_pvs=settings.procserv_pvs,
            iocstats_pvs=settings.iocstats_pvs,
            own=parts.own,
        )
        publish = self.pvs.publish
        publish("LINKS", as_lines(settings.links))
        self._output = parts.logs.output(
            name,
            settings.log_tail,
            parts.echo,
            publish,
            file_name=files_of(ioc, settings),
            keep_days=settings.log_keep_days,
            keep_mb=settings.log_keep_mb,
        )
        self._made = ScriptPvs(
            ioc.prefix,
            name,
            parts.directory,
            KeptValues(values_of(ioc, settings), self._worker()),
        )
        registration = Registration(
            name, parts.registry, partial(_rows, ioc.prefix, name, self._made), publish
        )
        self._made.when_changed += [
            registration.pvs_changed,
            PvList(self._made.records, publish).changed,
        ]
        witness = Witness(name, publish)
        self._script = ScriptFile(
            name,
            settings.script,
            worker=self._worker(),
            reaper=parts.reaper,
            publish=witness.publish,
            open_config=open_config,
        )
        self._launcher = launcher_for(
            settings, parts, self._worker(urgent=True), self._made.kept_line
        )
        self._load = Load(settings.limits, parts.processes, self._worker(), self._output, publish)
        self.supervisor = Supervisor(
            settings,
            launcher=self._launcher,
            guardian=parts.guardian,
            registration=registration,
            script=self._script,
            use=self._load,
            stack=Stack(self._worker(), self._output, publish),
            keeper=Keeper(KeptFile(state_of(ioc, settings)), self._worker()),
            pvs=self._made,
            output=self._output,
            publish=witness.publish,
            witness=witness,
        )
        self._followers = Followers(
            witness,
            settings,
            ioc.prefix,
            ioc.state_dir,
            script=self._script,
            launcher=self._launcher,
            supervisor=self.supervisor,
            output=self._output,
            worker=self._worker,
            reaper=parts.reaper,
            publish=publish,
        )
        self.pvs.connect(self.supervisor)

    @property
    def records(self) -> Iterator[LiveRecord]:
        """All records of its own, without those that its script makes."""
        return iter(self.pvs.by_full_name.values())

    @property
    def restarts(self) -> bool:
        """Whether other settings of the run are followed by a restart now."""
        return self.supervisor.state in RESTARTED

    def take(self, settings: InstanceSettings, open_config: str) -> None:
        """Go by other settings from now on: nothing happens before `settle` or the next run."""
        self._launcher.take(settings)
        self._script.take(settings.script, open_config)
        self._load.take(settings.limits)
        self._output.keep(settings.log_keep_days, settings.log_keep_mb)
        self._followers.take(settings)
        self.pvs.publish("LINKS", as_lines(settings.links))
        self.supervisor.take(settings)
        self.settings, self.open_config = settings, open_config

    async def end(self, why: str = "the IOC is shutting down") -> str:
        """Stop the script; return when no process of it lives, or why SIGKILL was of no use."""
        return await self.supervisor.shutdown(why)

    async def written(self) -> None:
        """Return when what outlives the instance is in its files, after its end."""
        await asyncio.gather(*(each.finished() for each in self._workers))

    async def discard(self) -> None:
        """Forget its records and output, after its end."""
        self._made.forget_all()
        self._parts.logs.remove(self._output)
        for record in self.records:
            if record.puts is not None:
                await record.puts.cancel()

    def _worker(self, *, urgent: bool = False) -> Worker:
        worker = Worker(self._parts.threads, urgent=urgent)
        self._workers.append(worker)
        return worker


def launcher_for(
    settings: InstanceSettings,
    parts: Parts,
    worker: Worker,
    kept: Callable[[], bytes] = lambda: b"",
) -> Launcher:
    """Return what launches the runs of an instance, and checks its script."""
    return Launcher(
        settings,
        key_of(parts.settings, settings),
        prefix=parts.settings.prefix,
        ioc_id=parts.ioc_id,
        reaper=parts.reaper,
        guardian=parts.guardian,
        worker=worker,
        cgroups=parts.cgroups,
        strict=parts.settings.strict,
        kept=kept,
    )


def _rows(prefix: str, name: str, made: ScriptPvs) -> list[PvRow]:
    """Return the PVs of an instance as the IOC registry has them: ours, and the script's."""
    return [*registry_rows(prefix, name), *made.rows]
