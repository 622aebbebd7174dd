"""The IOC: what its instances share, the Channel Access server; from start to end.

Puts the parts together; what each of them does is theirs.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from functools import partial

from bgrscrpt_ioc.access.acf import AccessFileError
from bgrscrpt_ioc.access.inputs import Followed
from bgrscrpt_ioc.access.putlog import PutLog
from bgrscrpt_ioc.access.rights import Access
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.lookup import Channels
from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.hold import Hold, TakenError
from bgrscrpt_ioc.host.system import (
    Guardian,
    Reaper,
    RequestServer,
    Systemd,
    find_cgroups,
    on_end_asked,
    own_id,
)
from bgrscrpt_ioc.host.worker import Threads, in_thread
from bgrscrpt_ioc.ioc.instance import Parts
from bgrscrpt_ioc.ioc.instances import Instances, claim
from bgrscrpt_ioc.ioc.names import key_of
from bgrscrpt_ioc.ioc.reload import Reload
from bgrscrpt_ioc.ioc.source import Startup
from bgrscrpt_ioc.limits.confine import say_how
from bgrscrpt_ioc.limits.usage import ProcessTable
from bgrscrpt_ioc.output.logs import Logs
from bgrscrpt_ioc.output.outlets import Outlets
from bgrscrpt_ioc.output.output import in_loop
from bgrscrpt_ioc.records.directory import Directory
from bgrscrpt_ioc.records.ownreadings import OwnReadings
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.script.timers import next_beat

TICK = 1.0  # s between posts of what changes by itself, to those who watch it
CLOSING = 5.0  # s that the registry, and then the log files, get to write what waits

log = logging.getLogger("bgrscrpt_ioc")


def serve(settings: IocSettings, open_config: str, startup: Startup) -> int:
    """Serve until told to end; return the exit code: 0, or 1 if it could not serve.

    Args:
        settings: of the IOC and its instances.
        open_config: says that others may change the configuration, if they may.
        startup: where the settings come from.
    """
    several = len(settings.instances) > 1
    outlets = Outlets(settings.log_format, settings.prefix, names=several)
    hold = Hold()
    try:
        claim(hold, settings, settings.instances)
        if why := startup.refusal():  # last: who may serve them already has time to answer
            log.error("%s", why)
            return 1
        return asyncio.run(Ioc(settings, outlets, hold, startup).run(open_config))
    except (TakenError, AccessFileError, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - what a user can mend needs no traceback
        return 1
    finally:
        hold.release()
        outlets.finish(CLOSING)


class Ioc:
    """One IOC process."""

    def __init__(
        self, settings: IocSettings, outlets: Outlets, hold: Hold, startup: Startup
    ) -> None:
        self._settings, self._outlets = settings, outlets
        self._hold, self._startup = hold, startup
        self._instances: Instances
        self._reload: Reload | None = None
        self._directory = Directory({})

    async def run(self, open_config: str) -> int:
        """Start everything, wait for the signal to end, end everything."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        on_end_asked(end.set, self._reload_asked)
        self._outlets.connect(os.environ)
        systemd = Systemd(os.environ)
        reaper = Reaper()
        reaper.start()
        keys = {key_of(settings, each) for each in settings.instances}
        ioc_id = own_id()
        cgroups = find_cgroups(settings.cgroup, ioc_id, log.warning)
        groups = [cgroups.of(key) for key in keys] if cgroups else []
        if cgroups and (killed := cgroups.end_leftovers(keys)):
            log.warning("killed %d processes left in the cgroups of an earlier IOC", killed)
        for instance in settings.instances:
            say_how(instance, cgroups)
        guardian = Guardian(reaper, ioc_id, [str(group.path) for group in groups])
        registry = Registry(
            settings.registry,
            settings.state_dir,
            partial(self._registry_changed, loop),
            prefix=settings.prefix,
        )
        threads, logs = Threads(), Logs(settings.log_dir)
        echo = self._outlets.echo
        own = OwnReadings([each.name for each in settings.instances], self._startup.config)
        parts = Parts(
            settings,
            ioc_id,
            reaper,
            guardian,
            cgroups,
            registry,
            threads,
            ProcessTable(),
            logs,
            echo if settings.echo else None,
            self._directory,
            own,
        )
        instances = self._instances = Instances(parts, self._hold)
        for instance in settings.instances:
            instances.serve(instances.make(instance, open_config))
        records = self._directory.by_full_name
        inputs = Channels(records)
        security = Security(settings.asg, settings.write_hosts, inputs.find)
        self._directory.faces.append(Followed(inputs.removed, security.look_again))
        await security.start()
        putlog = PutLog(os.environ)
        server = CaServer(
            records,
            settings.interfaces,
            settings.port,
            access=Access(security, putlog),
        )
        own.serve(lambda: server.clients, len(records))
        await server.start()
        self._directory.faces.append(server)
        guardian.start()
        registry.reconcile([each.name for each in settings.instances], time.time())
        # Else each full collection looks at all that was imported: nobody is answered for 30 ms.
        gc.freeze()
        serving = self._serving(server.tcp_port)
        # By the echo's thread: a stdout that stalls or fails must not keep the IOC.
        echo.say(serving)

        async def reloaded() -> None:
            systemd.reloaded(self._serving(server.tcp_port))

        reload = self._reload = Reload(
            settings, instances, self._startup, begins=systemd.reloading, ends=reloaded
        )
        control = RequestServer(reload.answer)
        await control.start()
        systemd.ready(serving)
        for each in instances:
            each.supervisor.begin()
            await asyncio.sleep(0)  # clients, and the scripts that run already, have their turn
        ticking = loop.create_task(tick(instances, logs, reaper))

        await end.wait()
        log.info("ending: stopping all scripts")
        systemd.stopping()
        await asyncio.gather(reload.close(), instances.end())
        await control.close()
        ticking.cancel()
        await server.close()
        await security.close()
        await putlog.close()
        await self._outlets.disconnect()
        await in_thread(partial(registry.close, CLOSING))
        threads.close(CLOSING)
        logs.close(CLOSING)
        guardian.stop()
        reaper.stop()
        systemd.close()
        return 0

    def _reload_asked(self) -> None:
        """There was a signal; before all is there, it means nothing: the file was just read."""
        if self._reload is not None:
            self._reload.asked()

    def _registry_changed(self, loop: asyncio.AbstractEventLoop, ioc_name: str) -> None:
        """In a thread of the registry."""
        instance = self._instances.get(ioc_name)
        if instance is not None:
            in_loop(loop, instance.supervisor.registry_changed)

    def _serving(self, tcp_port: int) -> str:
        """Return a line that says what is served, and where."""
        settings = self._settings
        served = sum(len(each.pvs.by_full_name) for each in self._instances)
        names = ", ".join(f"{settings.prefix}{each.settings.name}" for each in self._instances)
        where = " ".join(f"{address}:{tcp_port}" for address in settings.interfaces)
        return f"serving {names} ({served} PVs) on {where}"


async def tick(instances: Instances, logs: Logs, reaper: Reaper) -> None:
    """Look at the clock now and then, and refresh what is watched once a second."""
    faults, loop = Faults("the clock"), asyncio.get_running_loop()
    while True:
        watched = any(each.subscribers for each in instances.live)
        now = loop.time()
        # A wake-up costs some 0.3 ms of CPU: while nobody watches, there are few.
        await asyncio.sleep(TICK if watched else next_beat(now) - now)
        with faults:
            reaper.look()
        with faults:
            if logs.tick(time.time(), time.monotonic()):
                for each in instances:
                    each.supervisor.clock_set()
        for record in instances.live:
            with faults:
                if record.subscribers:
                    record.when_current(lambda: None)
