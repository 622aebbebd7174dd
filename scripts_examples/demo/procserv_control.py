"""A small stand-in for procServControl: commands IOCs under procServ by `CS:PS:<IOC>:RESTART` ...

Knows an IOC only by its procServ's console; the names and strings are those of ISIS's. Run it as
    python procserv_control.py ZFMAGFLD_01=20011 --prefix TE:DEMO: --port 5067
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
from collections import deque

from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.records.procserv import ProcServRecords, procserv_prefix

RUNNING, SHUTDOWN, STOPPED = range(3)  # of STATUS; STOPPED is procServ itself
KILL_OR_START, TOGGLE = b"\x18", b"\x14"  # ^X, ^T
PATIENCE = 60.0  # s until a command has failed: procServ's default holdoff is 15
RETRY = 1.0  # s between two tries to reach procServ
OUTPUT = 20  # lines of IOCOUT

# What procServ says on its console of its child's state, and of autorestart.
SAYS = (
    (re.compile(r'@@@ Child ".*" PID: |@@@ Restarting child '), RUNNING),
    (re.compile(r'@@@ Child ".*" is SHUT|@@@ Child process is shut|@@@ Received a sigC'), SHUTDOWN),
)
AUTORESTART = re.compile(r"@@@ .*auto restart (?:is|to|mode is) (ON|OFF)\b")

TELNET = re.compile(rb"\xff[\xfb-\xfe].", re.DOTALL)  # negotiation, in front of any line


class Console:
    """One procServ, and the PVs of its IOC."""

    def __init__(self, prefix: str, ioc: str, port: int) -> None:
        self.port = port
        names = procserv_prefix(prefix, ioc)
        self.pvs = ProcServRecords(prefix=names, name=ioc, do=self._do)
        self._status = self.pvs.by_full_name[f"{names}STATUS"]
        self._autorestart = self.pvs.by_full_name[f"{names}AUTORESTART"]
        self._lines: deque[str] = deque(maxlen=OUTPUT)
        self._writer: asyncio.StreamWriter | None = None
        self._changed = asyncio.Event()
        self._ends = 0  # of the child: with no holdoff it is up again before one can look
        self._one_at_a_time = asyncio.Lock()
        self._become(STOPPED)

    async def follow(self) -> None:
        """Listen to procServ, for ever; it may come later, or end and come again."""
        while True:
            with contextlib.suppress(OSError):
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    while line := await reader.readline():
                        self._heard(TELNET.sub(b"", line).decode("utf-8", "replace").rstrip("\r\n"))
                finally:
                    self._writer.close()
                    self._writer = None
            self._become(STOPPED)
            await asyncio.sleep(RETRY)

    def _heard(self, line: str) -> None:
        self._lines.append(line)
        self.pvs.published("LOG", "\n".join(self._lines))
        for pattern, status in SAYS:
            if pattern.match(line):
                self._become(status)
        if found := AUTORESTART.match(line):
            self._autorestart.post(int(found[1] == "ON"))
            self._changed.set()

    def _become(self, status: int) -> None:
        self._ends += status == SHUTDOWN
        self.pvs.become(status)
        self._changed.set()

    async def _do(self, command: str, _value: int, _by: str) -> None:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._carry_out(command)
            except TimeoutError as error:
                raise CommandFailed(f"{command}: procServ did not do it") from error

    async def _carry_out(self, command: str) -> None:
        if command == "TOGGLE":
            await self._switch(not self._autorestart.value)
        elif command == "START" and self._status.value == SHUTDOWN:
            self._type(KILL_OR_START)
            await self._until(RUNNING)
        elif command == "STOP":
            await self._switch(False)
            await self._kill()
        elif command == "RESTART":
            await self._switch(True)  # starts one that is shut down
            await self._kill()
            await self._until(RUNNING)

    async def _kill(self) -> None:
        if self._status.value == RUNNING:
            before = self._ends
            self._type(KILL_OR_START)
            while self._ends == before:
                await self._news()

    async def _switch(self, on: bool) -> None:
        if self._autorestart.value != on:
            self._type(TOGGLE)
            while self._autorestart.value != on:
                await self._news()

    async def _until(self, status: int) -> None:
        while self._status.value != status:
            await self._news()

    async def _news(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _type(self, key: bytes) -> None:
        if self._writer is None:
            raise CommandFailed("procServ is not there")
        self._writer.write(key)


async def serve(consoles: list[Console], port: int) -> None:
    """Serve until told to end."""
    pvdb = {name: pv for console in consoles for name, pv in console.pvs.by_full_name.items()}
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with CaServer(pvdb, ["127.0.0.1"], port), asyncio.TaskGroup() as tasks:
        print(f"procServ control: serving {len(pvdb)} PVs on 127.0.0.1:{port}", flush=True)
        # A task that fails ends the group, and with it this program.
        following = [tasks.create_task(console.follow()) for console in consoles]
        await end.wait()
        for task in following:
            task.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description="CS:PS:<IOC>:RESTART, STATUS and so on.")
    parser.add_argument("ioc", nargs="+", metavar="IOC=PORT", help="its procServ's console port")
    parser.add_argument("--prefix", default=os.environ.get("MYPVPREFIX", ""))
    parser.add_argument("--port", type=int, default=5067)
    options = parser.parse_args()
    pairs = [each.partition("=") for each in options.ioc]

    async def run() -> None:
        consoles = [Console(options.prefix, ioc, int(port)) for ioc, _, port in pairs]
        await serve(consoles, options.port)

    asyncio.run(run())


if __name__ == "__main__":
    main()
