"""The IOC: all instances, what they share, the Channel Access server; from start to end.

Puts the parts together; what each of them does is theirs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from functools import partial
from pathlib import Path

from bgrscrpt_ioc import posix, posix_cgroup
from bgrscrpt_ioc.access.acf import AccessFileError
from bgrscrpt_ioc.access.putlog import PutLog
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.guard import Guard
from bgrscrpt_ioc.ca.lookup import find
from bgrscrpt_ioc.ca.pvs import InstancePVs, registry_rows
from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.config.settings import InstanceSettings, IocSettings
from bgrscrpt_ioc.confine import say_how
from bgrscrpt_ioc.guard import Guardian
from bgrscrpt_ioc.hold import Hold, TakenError, sweep
from bgrscrpt_ioc.output.console import Console
from bgrscrpt_ioc.output.echo import Echo
from bgrscrpt_ioc.output.logs import Logs
from bgrscrpt_ioc.output.output import in_loop
from bgrscrpt_ioc.posix import Reaper
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.services import Services
from bgrscrpt_ioc.state import StateFile
from bgrscrpt_ioc.supervisor import LIVE, Supervisor
from bgrscrpt_ioc.usage import ProcessTable
from bgrscrpt_ioc.worker import Worker

TICK = 1.0  # s between posts of what changes by itself, to those who watch it
REST = 3.0  # s between two looks at the clock while nobody does: each costs some 0.3 ms of CPU
CLOSING = 5.0  # s that the registry, and then the log files, get to write what waits

log = logging.getLogger("bgrscrpt_ioc")


def serve(settings: IocSettings, list_pvs: bool, open_config: str = "") -> int:
    """Serve until told to end; return the exit code: 0, or 1 if it could not serve.

    `open_config` says that others may change the configuration, if they may.
    """
    console = Console(sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, handlers=[console])
    hold = Hold()
    try:
        for instance in settings.instances:
            hold.take(key_of(settings, instance), lock_of(settings, instance))
        return asyncio.run(Ioc(settings).run(list_pvs, open_config))
    except (TakenError, AccessFileError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - what a user can mend needs no traceback
        return 1
    finally:
        hold.release()
        console.finish(CLOSING)


def key_of(settings: IocSettings, instance: InstanceSettings) -> str:
    """What no other IOC on this host may have too."""
    return f"{settings.port}/{settings.prefix}{instance.name}"


def lock_of(settings: IocSettings, instance: InstanceSettings) -> Path:
    """The lock on the instance's state."""
    return settings.state_dir / f"{instance.name}.lock"


class Ioc:
    """One IOC process."""

    def __init__(self, settings: IocSettings) -> None:
        self._settings = settings
        self._supervisors: dict[str, Supervisor] = {}
        self._pvs: dict[str, InstancePVs] = {}

    async def run(self, list_pvs: bool, open_config: str) -> int:
        """Start everything, wait for the signal to end, end everything."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        posix.on_end_asked(end.set)
        reaper = Reaper()
        reaper.start()
        if killed := sweep({key_of(settings, each) for each in settings.instances}):
            log.warning("killed %d processes that an earlier IOC left behind", killed)
        cgroups = posix_cgroup.find(settings.cgroup, log.warning)
        groups = [cgroups.of(key_of(settings, each)) for each in settings.instances if cgroups]
        if killed := sum(group.end() for group in groups):
            log.warning("killed %d processes left in the cgroups of an earlier IOC", killed)
        for instance in settings.instances:
            say_how(instance, cgroups)
        ioc_id = posix.own_id()
        services = Services(
            settings.prefix,
            ioc_id,
            reaper,
            Guardian(reaper, ioc_id, [str(group.path) for group in groups]),
            Registry(settings.registry, settings.state_dir, partial(self._registry_changed, loop)),
            Worker(),
            ProcessTable(),
            cgroups,
            settings.strict,
            open_config,
        )
        logs = Logs(settings.log_dir)
        echo = self._echo()
        for instance in settings.instances:
            self._add(instance, services, logs, echo)
        channels = {name: each for pvs in self._pvs.values() for name, each in pvs.pvdb.items()}
        security = Security(settings.asg, settings.write_hosts, lambda name: find(channels, name))
        await security.start()
        putlog = PutLog(os.environ.get("EPICS_CA_PUT_LOG_ADDR", ""))
        server = CaServer(
            channels,
            settings.interfaces,
            settings.port,
            guard=Guard(security, putlog),
            fast_reads=settings.fast_reads,
        )
        await server.start()
        services.guardian.start()
        services.registry.reconcile(list(self._supervisors), time.time())
        self._say_serving(list_pvs)
        for supervisor in self._supervisors.values():
            supervisor.begin()
            await asyncio.sleep(0)  # clients, and the scripts that run already, have their turn
        ticking = loop.create_task(self._tick(logs))

        await end.wait()
        log.info("ending: stopping all scripts")
        await asyncio.gather(*(each.shutdown() for each in self._supervisors.values()))
        ticking.cancel()
        await server.close()
        await security.close()
        await putlog.close()
        await asyncio.to_thread(services.registry.close, CLOSING)
        services.worker.close(CLOSING)
        logs.close(CLOSING)
        if echo is not None:
            echo.close(CLOSING)
        services.guardian.stop()
        reaper.stop()
        return 0

    def _add(
        self, instance: InstanceSettings, services: Services, logs: Logs, echo: Echo | None
    ) -> None:
        settings, name = self._settings, instance.name
        pvs = InstancePVs(
            settings.prefix, name, log_tail=instance.log_tail, procserv_pvs=instance.procserv_pvs
        )
        output = logs.output(
            name,
            instance.log_tail,
            echo,
            pvs.publish,
            keep_days=instance.log_keep_days,
            keep_mb=instance.log_keep_mb,
        )
        supervisor = Supervisor(
            instance,
            services,
            key=key_of(settings, instance),
            output=output,
            publish=pvs.publish,
            own_pvs=registry_rows(settings.prefix, name),
            state_file=StateFile(settings.state_dir / f"{name}.json"),
        )
        pvs.connect(supervisor)
        self._pvs[name], self._supervisors[name] = pvs, supervisor

    def _echo(self) -> Echo | None:
        if not self._settings.echo:
            return None
        return Echo(sys.stdout.fileno(), names=len(self._settings.instances) > 1)

    def _registry_changed(self, loop: asyncio.AbstractEventLoop, ioc_name: str) -> None:
        """In a thread of the registry."""
        supervisor = self._supervisors.get(ioc_name)
        if supervisor is not None:
            in_loop(loop, supervisor.registry_changed)

    def _say_serving(self, list_pvs: bool) -> None:
        settings = self._settings
        count = 0
        for pvs in self._pvs.values():
            for name in pvs.pvdb:
                count += 1
                if list_pvs:
                    print(name)
        names = ", ".join(f"{settings.prefix}{name}" for name in self._pvs)
        where = " ".join(f"{address}:{settings.port}" for address in settings.interfaces)
        print(f"bgrscrpt-ioc: serving {names} ({count} PVs) on {where}", flush=True)

    async def _tick(self, logs: Logs) -> None:
        """Look at the clock now and then, and refresh what is watched once a second."""
        live = [
            (pvs.channel(reading), partial(self._supervisors[name].refresh, reading))
            for name, pvs in self._pvs.items()
            for reading in LIVE
        ]
        while True:
            await asyncio.sleep(TICK if any(each.subscribers for each, _ in live) else REST)
            if logs.tick(time.time(), time.monotonic()):
                for supervisor in self._supervisors.values():
                    supervisor.clock_set()
            for channel, refresh in live:
                if channel.subscribers:
                    refresh()
