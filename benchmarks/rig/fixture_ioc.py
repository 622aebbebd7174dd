"""A real CA server with a fake instance behind it, told what to do by JSON lines.

What is put is said on stdout and completed when the test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
import threading
from collections import defaultdict, deque
from typing import Any

from bgrscrpt_ioc.ca.links import ClientLimits
from bgrscrpt_ioc.ca.server import CaServer, PortInUseError
from bgrscrpt_ioc.host.system import on_end_asked
from bgrscrpt_ioc.lifecycle.events import CommandFailed, Severity
from bgrscrpt_ioc.records.instance import InstanceRecords
from bgrscrpt_ioc.records.ownreadings import OwnReadings, Publish
from bgrscrpt_ioc.records.table import RECORDS


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


TEXTS = {record.name for record in RECORDS if record.kind == "waveform"}


class Nothing(OwnReadings):
    """Tells nothing of the IOC: a peer with the same records has nothing in them either."""

    def show(self, publish: Publish) -> None:
        """Publish nothing."""

    def refresh(self, name: str, publish: Publish) -> None:
        """Publish nothing."""


class FakeCommands:
    """Does nothing, until it is told how that ended."""

    def __init__(self, pvs: InstanceRecords, still: bool) -> None:
        self._pvs, self._still = pvs, still
        self._pending: dict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self.readings: dict[str, float] = {}

    async def _asked(self, command: str, by: str) -> None:
        future = asyncio.get_running_loop().create_future()
        self._pending[command].append(future)
        say({"asked": command, "by": by})
        await future

    async def start(self, by: str) -> None:
        await self._asked("start", by)

    async def stop(self, by: str) -> None:
        await self._asked("stop", by)

    async def restart(self, by: str) -> None:
        await self._asked("restart", by)

    async def check(self, by: str) -> None:
        await self._asked("check", by)

    async def stack(self, by: str) -> None:
        await self._asked("stack", by)

    def set_autorestart(self, on: bool, by: str) -> None:
        say({"asked": "autorestart", "by": by, "on": on})
        self._pvs.publish("AUTORESTART", int(on))

    def refresh(self, name: str) -> None:
        self.readings[name] = self.readings.get(name, 0) + 1
        if name not in TEXTS and not self._still:  # which are as they were
            self._pvs.publish(name, self.readings[name])

    def complete(self, command: str, failure: str = "", fault: str = "") -> None:
        future = self._pending[command].popleft()
        if fault:
            future.set_exception(RuntimeError(fault))
        elif failure:
            future.set_exception(CommandFailed(failure))
        else:
            future.set_result(None)


class Fixture:
    """The IOC, and what a test has it do."""

    def __init__(
        self, prefix: str, names: list[str], procserv_pvs: bool, log_tail: int, still: bool
    ) -> None:
        self._pvs = {
            name: InstanceRecords(
                prefix, name, log_tail=log_tail, procserv_pvs=procserv_pvs, own=Nothing([], None)
            )
            for name in names
        }
        self._commands = {name: FakeCommands(pvs, still) for name, pvs in self._pvs.items()}
        self._unread = b""
        self.end = asyncio.Event()

    async def run(
        self, interfaces: list[str], port: int, limits: dict[str, Any], fast_reads: bool
    ) -> None:
        on_end_asked(self.end.set)
        for name, pvs in self._pvs.items():
            pvs.connect(self._commands[name])
        pvdb = {name: pv for pvs in self._pvs.values() for name, pv in pvs.by_full_name.items()}
        server = CaServer(pvdb, interfaces, port, ClientLimits(**limits), fast_reads=fast_reads)
        self._server, self._records = server, pvdb
        async with server:
            say({"ready": True})
            loop = asyncio.get_running_loop()
            try:  # in the order in which packets and orders come
                loop.add_reader(0, self._read)
            except NotImplementedError:  # on Windows no loop reads a plain pipe
                threading.Thread(target=self._listen, args=[loop], daemon=True).start()
                await self.end.wait()
            else:
                await self.end.wait()
                loop.remove_reader(0)
        say({"left": len(asyncio.all_tasks()) - 1})

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read in a thread what is told, until nothing more can be."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while data := os.read(0, 1 << 20):  # no `sys.stdin`, which has a lock at the end
                loop.call_soon_threadsafe(self._take, data)
            loop.call_soon_threadsafe(self.end.set)

    def _read(self) -> None:
        if data := os.read(0, 1 << 20):
            self._take(data)
        else:
            self.end.set()

    def _take(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            call = getattr(self, f"_{request.pop('do')}")
            say({"id": request.pop("id"), "result": call(**request)})

    def _publish(self, pv: str, value: Any, severity: int = 0, name: str = "BGRSCRPT_01") -> None:
        self._pvs[name].publish(pv, value, Severity(severity))

    def _publish_many(self, pv: str, values: list[Any]) -> None:
        for value in values:
            self._publish(pv, value)

    def _complete(self, command: str, failure: str = "", fault: str = "") -> None:
        self._commands["BGRSCRPT_01"].complete(command, failure, fault)

    def _watched(self, *, pvs: list[str]) -> bool:
        ours = self._pvs["BGRSCRPT_01"]
        return any(ours.record(name).subscribers for name in pvs)

    def _kept(self) -> dict[str, int]:
        links, records = self._server._links, self._records.values()
        return {
            "connections": len(links),
            "channels": links.channels.used,
            "monitors": links.subscriptions.used,
            "watched": sum(len(each.subscribers) for each in records),
        }

    def _refreshed(self) -> dict[str, float]:
        return self._commands["BGRSCRPT_01"].readings


def main() -> int:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, filename=options["log"])
    port, interfaces = options["port"], options["interfaces"]

    async def _run() -> None:
        fixture = Fixture(
            options["prefix"],
            options["names"],
            options["procserv_pvs"],
            options["log_tail"],
            options["still"],
        )
        await fixture.run(interfaces, port, options["limits"], options["fast_reads"])

    try:
        asyncio.run(_run())
    except PortInUseError as error:
        say({"refused": str(error)})
        return 1
    gc.collect()  # what is left open warns now
    return 0


if __name__ == "__main__":
    sys.exit(main())
