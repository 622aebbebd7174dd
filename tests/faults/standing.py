"""The server's end of connections without a network: takes cases of fuzz.py, and must stand them.

`python -m tests.faults.standing --seed S --cases N`, or `--case K` for one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import time
from collections.abc import Iterable
from random import Random
from typing import Any

from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.circuit import Circuit
from bgrscrpt_ioc.ca.guard import Guard
from bgrscrpt_ioc.ca.link import BATCH, PIECE
from bgrscrpt_ioc.ca.links import Limits, Links
from bgrscrpt_ioc.ca.pvs import InstancePVs
from bgrscrpt_ioc.ca.search import Searches
from bgrscrpt_ioc.events import CommandFailed
from tests.faults import fuzz

PORT = 5064
PEER = "10.0.0.1"
HIGH_WATER = 1 << 16  # bytes, asyncio's
LARGEST_ANSWER = 700_000  # bytes: LOG as texts
TURNS = 10_000  # of the event loop, after which something hangs
LOG_TAIL = 16_000


class Transport:
    """A connection whose client reads `patience` bytes before it pauses."""

    def __init__(self, link: Circuit, patience: int) -> None:
        self._link, self._patience = link, patience
        self.sent = bytearray()
        self.waiting = 0  # bytes that the client has not taken
        self.reading, self.closing = True, False

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else (PEER, 1)

    def setsockopt(self, *_: object) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closing, "written to a connection that has ended"
        self.sent += data
        if len(self.sent) > self._patience:
            before, self.waiting = self.waiting, self.waiting + len(data)
            assert self.waiting < HIGH_WATER + BATCH + LARGEST_ANSWER, "more than may wait"
            if before <= HIGH_WATER < self.waiting:
                self._link.pause_writing()

    def drain(self) -> None:
        """The client reads all."""
        self._patience = 1 << 60
        if self.waiting > HIGH_WATER:
            self._link.resume_writing()
        self.waiting = 0

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self._link.connection_lost, None)

    close = abort


class Mailbox:
    """Where answers to datagrams go."""

    def __init__(self) -> None:
        self.sent = self.waiting = 0

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def sendto(self, data: bytes, _to: object) -> None:
        self.sent += len(data)


class Commands:
    """Carries out what is put: at once, later or never, as the dice have it."""

    def __init__(self, pvs: InstancePVs) -> None:
        self._pvs, self.dice = pvs, fuzz.dice(0, 0)
        self.pending: list[asyncio.Future[None]] = []

    async def start(self, by: str) -> None:  # noqa: ARG002 - as the protocol has it
        if self.dice.random() < 0.3:
            raise CommandFailed("no")
        if self.dice.random() < 0.5:
            self.pending.append(asyncio.get_running_loop().create_future())
            await self.pending[-1]

    stop = restart = check = start

    def set_autorestart(self, on: bool, by: str) -> None:  # noqa: ARG002
        self._pvs.publish("AUTORESTART", int(on))

    def refresh(self, name: str) -> None:
        self._pvs.publish(name, self.dice.random())


class Watch(logging.Handler):
    """Every line of the log from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


class Standing:
    """One server's records and links."""

    def __init__(self) -> None:
        self.pvs = InstancePVs("TE:", "BGRSCRPT_01", log_tail=LOG_TAIL)
        self.commands = Commands(self.pvs)
        self.pvs.connect(self.commands)
        self.links = Links(Limits(channels_of_circuit=6, subscriptions_of_circuit=4))
        self.searches = Searches(self.pvs.pvdb.__contains__, PORT, (), self.links.complaints)
        self.mailbox = Mailbox()
        self.searches.connection_made(self.mailbox)
        self.faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: self.faults.append(fault))

    async def connect(self, patience: int = 1 << 60) -> tuple[Circuit, Transport]:
        """Have a client come."""
        link = Circuit(self.pvs.pvdb, PORT, self.links, (PEER, 1), guard=Guard(Security()))
        transport = Transport(link, patience)
        self.links.add(link)
        link.connection_made(transport)
        return link, transport

    async def feed(self, link: Circuit, transport: Transport, data: bytes) -> None:
        """Have bytes come, as fast as they are taken."""
        for start in range(0, len(data), PIECE):
            turns = 0
            while not transport.reading and not transport.closing:
                if transport.waiting > HIGH_WATER:
                    transport.drain()
                await asyncio.sleep(0)
                turns += 1
                assert turns < TURNS, "it never reads on"
            if transport.closing:
                return
            piece = data[start : start + PIECE]
            link.get_buffer(-1)[: len(piece)] = piece
            link.buffer_updated(len(piece))

    async def stand(self, r: Random, stream: Iterable[bytes]) -> bytes:
        """Take one client's messages, while the records change; what it was sent."""
        self.commands.dice = r
        link, transport = await self.connect(r.choice((0, 1 << 60, 1 << 60)))
        for data in stream:
            await self.feed(link, transport, data)
            if r.random() < 0.3:
                self.pvs.publish("STATUS", r.randrange(7))
                self.pvs.publish("LOG", f"{r.random()}" * r.choice((1, 700)))
                await asyncio.sleep(0)
        transport.drain()
        if r.random() < 0.5:
            self.complete()
        await asyncio.sleep(0)
        transport.abort()
        await link.closed
        self.complete()
        return bytes(transport.sent)

    def datagram(self, r: Random) -> None:
        """Take one datagram."""
        self.searches.datagram_received(fuzz.datagram(r), (PEER, 9))

    def complete(self) -> None:
        """Have all that is pending succeed."""
        for future in self.commands.pending:
            if not future.done():
                future.set_result(None)
        self.commands.pending.clear()

    async def check(self) -> None:
        """Raise AssertionError unless everything is as before the first client."""
        for _ in range(3):  # what has been completed ends
            await asyncio.sleep(0)
        assert not self.faults, self.faults
        assert (len(self.links), self.links.channels, self.links.subscriptions) == (0, 0, 0)
        for channel in self.pvs.pvdb.values():
            for each in (channel, *channel.fields.values()):
                assert each.subscribers == (), each.name
        for command in "START", "STOP", "RESTART", "CHECK":
            assert self.pvs.pvdb[fuzz.P + command].value == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def run(seed: int, numbers: Iterable[int]) -> Standing:
    """Take these cases; every fifth one is a datagram. AssertionError names the case."""
    standing = Standing()
    for number in numbers:
        r = fuzz.dice(seed, number)
        try:
            if number % 5 == 0:
                standing.datagram(r)
            else:
                await standing.stand(r, fuzz.stream(r))
            if number % 50 == 0:
                await standing.check()
            assert not standing.faults, standing.faults
        except Exception as error:
            raise AssertionError(f"case {number} of seed {seed}: {error!r}") from error
    await standing.check()
    return standing


def main() -> None:
    """Take cases, and say how fast and at what cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=fuzz.SEED)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--case", type=int)
    options = parser.parse_args()
    numbers = range(options.cases) if options.case is None else [options.case]
    print(f"seed {options.seed}", flush=True)
    before, began = sys.getallocatedblocks(), time.monotonic()
    asyncio.run(run(options.seed, numbers))
    took = time.monotonic() - began
    gc.collect()
    print(f"{took:.1f} s, {sys.getallocatedblocks() - before} more blocks of memory")


if __name__ == "__main__":
    main()
