"""A small instrument to run scripts against: blocks, a DAE, lists, named as at ISIS.

Nothing of it is real but Channel Access; names, types and texts are those that genie_python and
scripts expect. It runs as a process of its own, on a CA port of its own:

    EPICS_CA_SERVER_PORT=5068 python instrument.py --prefix TE:DEMO:
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from caproto import (
    AlarmSeverity,
    AlarmStatus,
    ChannelAlarm,
    ChannelByte,
    ChannelData,
    ChannelDouble,
    ChannelEnum,
    ChannelInteger,
    ChannelString,
    ServerDisconnResponse,
    SubscriptionType,
)
from caproto.asyncio.server import Context

TICK = 0.25  # s between two positions of what moves
SET_POINTS = (280.0, 300.0, 290.0, 310.0)
HELD = 30.0  # s for which a set point is kept
SLUGGISH = 5.0  # s in which the sample has done most of the way
RUN_STATES = [
    *("PROCESSING", "SETUP", "RUNNING", "PAUSED", "WAITING", "VETOING", "ENDING", "SAVING"),
    *("RESUMING", "PAUSING", "BEGINNING", "ABORTING", "UPDATING", "STORING", "CHANGING"),
]
SEVERITIES = ["NO_ALARM", "MINOR", "MAJOR", "INVALID"]
NO_YES = ["NO", "YES"]
IOCS = ("ISISDAE_01", "INSTETC_01")


def hexed(data: Any) -> bytes:
    """ISIS's way to put a structure into one PV: JSON, compressed, in hexadecimal digits."""
    return zlib.compress(json.dumps(data).encode()).hex().encode()


def chars(data: bytes) -> ChannelByte:
    """A text in a waveform of CHAR, with the NUL that ends it."""
    return ChannelByte(value=data + b"\0", max_length=16000, strip_null_terminator=False)


def text(value: str) -> ChannelString:
    return ChannelString(value=value, string_encoding="utf-8")


class Choice(ChannelEnum):
    """An enumeration; `put` is told what a client writes, before it is so, and may replace it."""

    def __init__(
        self, names: list[str], value: int = 0, put: Callable[[str], Awaitable[str]] | None = None
    ) -> None:
        super().__init__(enum_strings=names, value=names[value])
        self.put = put

    async def verify_value(self, data: Any) -> Any:
        """Called by caproto with what a client writes."""
        name = await super().verify_value(data)
        return name if self.put is None else await self.put(name)


class BlockValue(ChannelDouble):
    """The value of a block, whose alarm only this file sets.

    caproto 1.3.0 would clear the alarm with every write of a value inside the alarm limits.
    """

    async def verify_value(self, data: Any) -> Any:
        """Accept every value, and leave the alarm as it is."""
        return data


class Block:
    """CS:SB:<name> with the fields and the run control that go with it."""

    def __init__(self, name: str, unit: str, value: float) -> None:
        self.name = name
        self._alarm = ChannelAlarm()
        self.value = BlockValue(value=value, units=unit, precision=3, alarm=self._alarm)
        self.severity = Choice(SEVERITIES)
        self.low, self.high = ChannelDouble(value=0.0), ChannelDouble(value=500.0)
        self.in_range = Choice(NO_YES, 1)
        self.sim_severity = Choice(SEVERITIES, put=self._break)
        zero = {"value": b"\0", "strip_null_terminator": False}  # else it has no element, for libca
        self.channels: dict[str, ChannelData] = {
            "": self.value,
            ".VAL": self.value,
            ".SEVR": self.severity,
            ".EGU": text(unit),
            ".DESC": text(name),
            ".RTYP": text("ai"),
            ".DISP": ChannelByte(**zero),
            ":RC:ENABLE": Choice(NO_YES),
            ":RC:LOW": self.low,
            ":RC:HIGH": self.high,
            ":RC:INRANGE": self.in_range,
        }

    async def move(self, value: float) -> None:
        """Set the value, and tell the clients."""
        await self.value.write(value)
        inside = self.low.value <= value <= self.high.value
        await self.in_range.write("YES" if inside else "NO")

    async def _break(self, name: str) -> str:
        severity = AlarmSeverity(SEVERITIES.index(name))
        status = AlarmStatus.COMM if severity else AlarmStatus.NO_ALARM
        await self._alarm.write(severity=severity, status=status, publish=False)
        await self.value.write(self.value.value)
        await self.value.publish(SubscriptionType.DBE_VALUE | SubscriptionType.DBE_ALARM)
        await self.severity.write(name, verify_value=False)
        return name


class Command(ChannelInteger):
    """A PV that does something when a client writes to it."""

    def __init__(self, put: Callable[[], Awaitable[None]]) -> None:
        super().__init__(value=0)
        self.put = put

    async def verify_value(self, data: Any) -> Any:
        """Called by caproto with what a client writes."""
        await self.put()
        return data


class Instrument:
    """All PVs by name, and what moves by itself."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.pvs: dict[str, ChannelData] = {"CS:INSTLIST": chars(hexed(self._list()))}
        self.context = Context(self.pvs)
        self.sample = Block("Temp_Sample", "K", SET_POINTS[0])
        self.set_point = Block("Temp_SP", "K", SET_POINTS[0])
        self.blocks = {block.name: block for block in (self.sample, self.set_point)}
        self.names = chars(hexed(list(self.blocks)))
        self.run_number, self.run_state = text("00012345"), Choice(RUN_STATES, 2)
        self.hold = Choice(NO_YES)
        self._tasks: asyncio.TaskGroup | None = None
        for name, channel in {
            "CS:BLOCKSERVER:BLOCKNAMES": self.names,
            "CS:MANAGER": Choice(["No", "Yes"]),
            "DAE:RUNNUMBER": self.run_number,
            "DAE:RUNSTATE": self.run_state,
            "DAE:BEGINRUNEX": Command(self._begin),
            "DAE:ENDRUN": Command(self._end),
            "DAE:TITLE": text("a demonstration"),
            "ED:RBNUMBER": text("2610001"),
            "ED:SURNAME": text("Curie"),
            "SIM:HOLD": self.hold,
        }.items():
            self.pvs[prefix + name] = channel
        for ioc in IOCS:
            self._add_ioc(ioc)
        for block in self.blocks.values():
            self._add_block(block)

    def _list(self) -> list[dict[str, Any]]:
        """One instrument; by the second entry genie_python finds it on a host of any name."""
        name = self.prefix.rstrip(":").rpartition(":")[2]
        host = socket.gethostname()
        entry = {"name": name, "hostName": host, "isScheduled": False, "seci": False}
        return [
            {**entry, "pvPrefix": prefix, "groups": ["DEMO"]}
            for prefix in (self.prefix, host.upper())
        ]

    def _add_ioc(self, ioc: str) -> None:
        """The PVs of procServControl for an IOC that is not there, but restarts as if."""
        status = Choice(["Shutdown", "Running"], 1)

        async def restart(name: str) -> str:
            if name == "Busy":
                await status.write("Shutdown")
                self._later(1.0, lambda: status.write("Running"))
            return "Done"

        under = f"{self.prefix}CS:PS:{ioc}:"
        self.pvs[f"{under}STATUS"] = status
        self.pvs[f"{under}AUTORESTART"] = Choice(["Off", "On"], 1)
        self.pvs[f"{under}RESTART"] = Choice(["Done", "Busy"], put=restart)

    def _add_block(self, block: Block) -> None:
        async def present(name: str) -> str:
            await (self._insert(block) if name == "YES" else self._remove(block))
            return name

        self.pvs[f"{self.prefix}SIM:{block.name}:SEVR"] = block.sim_severity
        self.pvs[f"{self.prefix}SIM:{block.name}:PRESENT"] = Choice(NO_YES, 1, put=present)
        self.pvs.update(self._of(block))

    def _of(self, block: Block) -> dict[str, ChannelData]:
        """The PVs of a block, as its name is written and in capitals."""
        under = f"{self.prefix}CS:SB:"
        names = (under + block.name, under + block.name.upper())
        return {name + end: pv for name in names for end, pv in block.channels.items()}

    async def _insert(self, block: Block) -> None:
        self.pvs.update(self._of(block))
        self.blocks[block.name] = block
        await self._tell_names()

    async def _remove(self, block: Block) -> None:
        """Gone, as when a configuration is changed: found no more, and its clients disconnected."""
        gone = self._of(block)
        for name in gone:
            self.pvs.pop(name, None)
        self.blocks.pop(block.name, None)
        await self._tell_names()
        for circuit in list(self.context.circuits):
            for channel in list(circuit.circuit.channels.values()):
                if channel.name in gone:
                    sid = channel.sid
                    await circuit._cull_subscriptions(
                        gone[channel.name], lambda sub, sid=sid: sub.channel.sid == sid
                    )
                    await circuit.send(ServerDisconnResponse(cid=channel.cid))

    async def _tell_names(self) -> None:
        await self.names.write(hexed(list(self.blocks)) + b"\0")

    async def _begin(self) -> None:
        await self.run_number.write(f"{int(self.run_number.value) + 1:08d}")
        await self.run_state.write("RUNNING", verify_value=False)

    async def _end(self) -> None:
        await self.run_state.write("SETUP", verify_value=False)

    def _later(self, delay: float, do: Callable[[], Awaitable[None]]) -> None:
        async def wait() -> None:
            await asyncio.sleep(delay)
            await do()

        if self._tasks is not None:  # it runs
            self._tasks.create_task(wait())

    async def run(self) -> None:
        """Serve, and move, until it is cancelled. A task that fails ends all of it."""
        async with asyncio.TaskGroup() as group:
            self._tasks = group
            group.create_task(self.context.run())
            group.create_task(self._move())

    async def _move(self) -> None:
        """The set point steps; the sample follows it, sluggish and with some noise."""
        started, step = time.monotonic(), 0
        print(f"instrument: serving {self.prefix} ({len(self.pvs)} PVs)", flush=True)
        while True:
            await asyncio.sleep(TICK)
            if self.hold.value == "YES":
                continue
            now = int((time.monotonic() - started) / HELD)
            if now != step:
                step = now
                await self.set_point.move(SET_POINTS[step % len(SET_POINTS)])
            way = self.set_point.value.value - self.sample.value.value
            noise = random.gauss(0, 0.05)
            await self.sample.move(self.sample.value.value + way * TICK / SLUGGISH + noise)


def main() -> None:
    parser = argparse.ArgumentParser(description="A small instrument to run scripts against.")
    parser.add_argument("--prefix", default="TE:DEMO:", help="of all PVs (default: %(default)s)")

    prefix = parser.parse_args().prefix
    # For this host only, and announced to nobody: caproto fails, aloud, where nobody listens.
    os.environ.setdefault("EPICS_CAS_INTF_ADDR_LIST", "127.0.0.1")
    os.environ |= {"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO", "EPICS_CAS_BEACON_ADDR_LIST": ""}

    async def serve() -> None:
        await Instrument(prefix).run()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        print("instrument: stopped", flush=True)


if __name__ == "__main__":
    main()
