"""The server's end of connections without a network: takes cases of a fuzzer and stands them.

`python -m tests.faults.standing --seed S --cases N`, or `--case K` for one. Give `--recorded`
a file to have sessions of real clients mutated (benchmarks/rig/recording.py).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import time
from array import array
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.rig import fuzz
from benchmarks.rig.mutations import Mutations
from bgrscrpt_ioc.access.complaints import Complaints
from bgrscrpt_ioc.access.rights import Access
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.channels import LARGEST_CONVERSION
from bgrscrpt_ioc.ca.link import BATCH, PIECE, Link
from bgrscrpt_ioc.ca.links import ClientLimits, Links
from bgrscrpt_ioc.ca.lookup import Channels
from bgrscrpt_ioc.ca.search import Searches
from bgrscrpt_ioc.ca.session import connection
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.records.instance import InstanceRecords
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.script.pvtypes import record_of
from tests.unit.test_script_pvs import declared

PORT = 5064
PEER = "10.0.0.1"
HIGH_WATER = 1 << 16  # bytes, asyncio's
LARGEST_ANSWER = LARGEST_CONVERSION + 1000  # bytes, with what goes before
TURNS = 10_000  # of the event loop, after which something hangs
LOG_TAIL = 16_000
LONG = 1000  # numbers of an array


class Transport:
    """A connection whose client reads `patience` bytes before it pauses."""

    def __init__(self, link: Link, patience: int, faults: list[object]) -> None:
        self._link, self._patience, self._faults = link, patience, faults
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
        if self.closing:
            self._faults.append("written to a connection that has ended")
        self.sent += data
        if len(self.sent) > self._patience:
            before, self.waiting = self.waiting, self.waiting + len(data)
            if self.waiting > HIGH_WATER + BATCH + LARGEST_ANSWER:
                self._faults.append(f"{self.waiting} bytes wait, which are more than may")
            if before <= HIGH_WATER < self.waiting:
                self._link.pause_writing()

    def drain(self) -> None:
        """Let the client read everything."""
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
    """Takes the answers to datagrams."""

    def __init__(self) -> None:
        self.sent = self.waiting = 0

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def sendto(self, data: bytes, _to: object) -> None:
        self.sent += len(data)


class Commands:
    """Carries out what is put at once, later or never, at random."""

    def __init__(self, pvs: InstanceRecords) -> None:
        self._pvs, self.dice = pvs, fuzz.dice(0, 0)
        self.pending: list[asyncio.Future[None]] = []
        self.looks: list[asyncio.Future[None]] = []  # that take time

    async def start(self, by: str) -> None:  # noqa: ARG002 - as the protocol has it
        if self.dice.random() < 0.3:
            raise CommandFailed("no")
        if self.dice.random() < 0.5:
            self.pending.append(asyncio.get_running_loop().create_future())
            await self.pending[-1]

    stop = restart = check = stack = start

    def set_autorestart(self, on: bool, by: str) -> None:  # noqa: ARG002
        self._pvs.publish("AUTORESTART", int(on))

    def refresh(self, name: str) -> asyncio.Future[None] | None:
        text = self._pvs.record(name).record.kind == "waveform"
        self._pvs.publish(name, str(self.dice.random()) if text else self.dice.random())
        if self.dice.random() < 0.7:
            return None
        self.looks.append(asyncio.get_running_loop().create_future())
        return self.looks[-1]


class Heard(Complaints):
    """Complaints, with a list of those about faults of the IOC: the log has only few of them."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.said: list[str] = []

    def say(self, offender: str, what: object) -> None:
        self.said = [*self.said[-9:], str(what)]
        if "a fault of the IOC" in str(what):
            self.faults.append(str(what))
        super().say(offender, what)


class Watch(logging.Handler):
    """Every line of the log from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


FEW = ClientLimits(channels=6, subscriptions=4)
REAL = ClientLimits(channels=24, subscriptions=8)  # so many that most sessions of clients have them


def array_record() -> Any:
    """A PV of a script, with so many numbers that they are converted in pieces."""
    made = declared("ARRAY", type="floats", size=LONG)
    return live(fuzz.P + made.name, record_of(made))


class Standing:
    """The records and connections of one server."""

    def __init__(self, limits: ClientLimits = FEW) -> None:
        self.pvs = InstanceRecords("TE:", "BGRSCRPT_01", log_tail=LOG_TAIL)
        self.commands = Commands(self.pvs)
        self.pvs.connect(self.commands)
        self.array = array_record()
        self.records: dict[str, LiveRecord] = {**self.pvs.by_full_name, self.array.name: self.array}
        self.channels, self.access = Channels(self.records), Access(Security())
        self.links = Links(limits)
        self.links.complaints = self.complaints = Heard()
        self.searches = Searches(self.records.__contains__, PORT, (), self.links.complaints)
        self.mailbox = Mailbox()
        self.searches.connection_made(self.mailbox)
        self.faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: self.faults.append(fault))

    async def connect(self, patience: int = 1 << 60) -> tuple[Link, Transport]:
        """Connect a client."""
        link = connection(self.channels, PORT, self.links, (PEER, 1), access=self.access)
        transport = Transport(link, patience, self.faults)
        self.links.add(link)
        link.connection_made(transport)
        return link, transport

    async def feed(self, link: Link, transport: Transport, data: bytes) -> None:
        """Send bytes, as fast as the server takes them."""
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
        turns = 0
        while link.turn_due:
            await asyncio.sleep(0)
            turns += 1
            assert turns < TURNS, "its turns never end"

    async def stand(self, r: Random, stream: Iterable[bytes]) -> bytes:
        """Take one client's messages while the records change.

        Return what was sent to the client.
        """
        self.commands.dice = r
        link, transport = await self.connect(r.choice((0, 1 << 60, 1 << 60)))
        for data in stream:
            await self.feed(link, transport, data)
            if r.random() < 0.3:
                self.pvs.publish("STATUS", r.randrange(7))
                self.pvs.publish("LOG", f"{r.random()}" * r.choice((1, 700)))
                self.array.post(array("d", [r.random()] * r.randrange(LONG)))
                await asyncio.sleep(0)
        transport.drain()
        if r.random() < 0.5:
            self.complete()
        await asyncio.sleep(0)
        transport.abort()
        await link.closed
        self.complete()
        return bytes(transport.sent)

    def datagram(self, data: bytes) -> None:
        """Take one datagram."""
        self.searches.datagram_received(data, (PEER, 9))

    def complete(self) -> None:
        """Let all pending commands succeed."""
        for futures in self.commands.pending, self.commands.looks:
            for future in futures:
                if not future.done():
                    future.set_result(None)
            futures.clear()

    def no_faults(self) -> None:
        """Raise AssertionError if there was a fault, even one that has harmed only its client."""
        faults = self.faults + self.complaints.faults
        assert not faults, faults

    async def check(self) -> None:
        """Raise AssertionError unless all is as before the first client."""
        for _ in range(3):  # what has been completed ends
            await asyncio.sleep(0)
        self.no_faults()
        links = self.links
        assert (len(links), links.channels.used, links.subscriptions.used) == (0, 0, 0)
        for record in self.records.values():
            assert not record.subscribers, record.name
            assert record.caches == (), record.name
        for command in "START", "STOP", "RESTART", "CHECK":
            assert self.pvs.by_full_name[fuzz.P + command].value == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def run(seed: int, numbers: Iterable[int], cases: fuzz.Cases = fuzz) -> int:
    """Take these cases; every fifth one is a datagram. AssertionError names the case.

    Return how many pieces were sent, which are messages for the most part.
    """
    standing, sent = Standing(FEW if cases is fuzz else REAL), 0
    for number in numbers:
        r = fuzz.dice(seed, number)
        try:
            if number % 5 == 0:
                standing.datagram(cases.datagram(r))
                sent += 1
            else:
                stream = cases.stream(r)
                await standing.stand(r, stream)
                sent += len(stream)
            if number % 50 == 0:
                await standing.check()
            standing.no_faults()
        except Exception as error:
            raise AssertionError(f"case {number} of seed {seed}: {error!r}") from error
    await standing.check()
    return sent


def main() -> None:
    """Take cases, and print the speed and the cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=fuzz.SEED)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--case", type=int)
    parser.add_argument("--recorded", type=Path)
    options = parser.parse_args()
    numbers = range(options.cases) if options.case is None else [options.case]
    print(f"seed {options.seed}", flush=True)
    cases = Mutations.kept(options.recorded) if options.recorded else fuzz
    before, began = sys.getallocatedblocks(), time.monotonic()
    sent = asyncio.run(run(options.seed, numbers, cases))
    took = time.monotonic() - began
    gc.collect()
    print(
        f"{sent} messages in {took:.1f} s,"
        f" {sys.getallocatedblocks() - before} more blocks of memory"
    )


if __name__ == "__main__":
    main()
