"""Turns of clients: how much is done in one round of the event loop, and that all is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rig import fuzz
from bgrscrpt_ioc.access.rights import Rights
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.puts import COST
from bgrscrpt_ioc.ca.turns import TURN, Turns
from tests.faults import standing

STATUS, ENUM, CHAR, STRING, LONG_NUMBER = fuzz.P + "STATUS", 3, 4, 0, 5


class Client:
    """Has so many turns to do; `cost` each. It notes its number in `order` at each."""

    def __init__(
        self, turns: Turns, order: list[int], number: int, left: int, cost: int, *, much: bool
    ) -> None:
        self.turns, self.order, self.number = turns, order, number
        self.left, self.cost, self.much = left, cost, much

    def begin_turn(self) -> None:
        self.order.append(self.number)
        self.turns.spent += self.cost
        self.left -= 1
        if self.left:
            self.turns.wait(self, much=self.much)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 2 * TURN), st.booleans()), max_size=12))
def test_turns_are_shared(wanted: list[tuple[int, int, bool]]) -> None:
    """A round costs no more than one turn and one request, and each client gets all its turns."""

    async def rounds() -> None:
        turns, order = Turns(), list[int]()
        clients = [
            Client(turns, order, number, left, cost, much=much)
            for number, (left, cost, much) in enumerate(wanted)
        ]
        for each in clients:
            turns.wait(each, much=each.much)
        for _ in range(5 * len(clients) + 1):
            began = len(order)
            await asyncio.sleep(0)
            costs = [clients[number].cost for number in order[began:]]
            assert sum(costs[:-1]) <= TURN
        assert sorted(order) == sorted(
            n for n, (left, _, _) in enumerate(wanted) for _ in range(left)
        )
        for much in False, True:  # within a line, one after the other
            line = [number for number in order if clients[number].much == much]
            firsts = list(dict.fromkeys(line))
            assert firsts == sorted(firsts)
            assert line[: len(firsts)] == firsts

    asyncio.run(rounds())


async def test_neither_line_shuts_out_the_other() -> None:
    """Clients that ask for little have every second round, those that ask for much the others."""
    turns, order = Turns(), list[int]()
    for number, much in enumerate((False, False, True, True)):
        turns.wait(Client(turns, order, number, 3, TURN + 1, much=much), much=much)
    while len(order) < 12:
        await asyncio.sleep(0)
    assert order == [0, 2, 1, 3] * 3


@asynccontextmanager
async def opened(
    server: standing.Standing, name: str
) -> AsyncIterator[tuple[Link, standing.Transport]]:
    """A client that has one channel; its connection ends after the test."""
    link, transport = await server.connect()
    await server.feed(link, transport, fuzz.text(fuzz.CREATE, name, 1))
    transport.sent.clear()
    yield link, transport
    transport.drain()
    transport.abort()
    await link.closed


def deliver(link: Link, data: bytes) -> None:
    """Have the server read bytes; it answers some of it at once."""
    link.get_buffer(-1)[: len(data)] = data
    link.buffer_updated(len(data))


async def test_a_get_at_hand_waits_for_nobody() -> None:
    """While others have LOG as texts and ask without end, a get of STATUS is answered at once."""
    server = standing.Standing()
    server.pvs.publish("LOG", "x" * 15_000)
    texts = fuzz.message(fuzz.READ_NOTIFY, STRING, 0, 0, 1)
    status = fuzz.message(fuzz.READ_NOTIFY, ENUM, 1, 0, 1)
    async with (
        opened(server, fuzz.P + "LOG") as (texts_link, _),
        opened(server, STATUS) as (greedy, _),
        opened(server, STATUS) as (small, transport),
    ):
        deliver(small, status)  # the answer is kept from now on
        while not transport.sent:
            await asyncio.sleep(0)
        for _ in range(10):
            for link, data in (texts_link, texts * 50), (greedy, status * 200):
                if not link.turn_due:
                    deliver(link, data)
            transport.sent.clear()
            deliver(small, status)
            assert len(transport.sent) == 24
            await asyncio.sleep(0)
    await server.check()


async def test_many_clients_share_a_round() -> None:
    """However many clients put, or want arrays: a round has one turn for them all."""
    server = standing.Standing(standing.REAL)
    server.pvs.publish("LOG", "x" * 15_000)
    dearest = COST + standing.LARGEST_ANSWER
    put = fuzz.message(fuzz.WRITE_NOTIFY, ENUM, 1, 0, 1, b"\0\1" + bytes(6))
    log = fuzz.message(fuzz.READ_NOTIFY, CHAR, 0, 0, 1)
    wanted = {"START": put * 5, "LOG": log * 20, "LOG:LINE": log * 50}
    async with asyncio.TaskGroup() as group:
        begun = asyncio.Barrier(4)

        async def ask(name: str, data: bytes) -> None:
            async with opened(server, fuzz.P + name) as (link, transport):
                await begun.wait()
                deliver(link, data)
                while link.turn_due or not transport.sent:
                    await asyncio.sleep(0)

        for name, data in wanted.items():
            group.create_task(ask(name, data))
        await begun.wait()
        for _ in range(200):
            await asyncio.sleep(0)
            assert server.links.turns.spent <= TURN + dearest
            server.complete()
    await server.check()


async def test_answers_come_in_order() -> None:
    """Whatever comes at once is answered in the order of the requests, as if it came one by one."""
    r = Random(5)  # noqa: S311 - reproducible
    requests = [
        r.choice(
            (
                fuzz.message(fuzz.READ_NOTIFY, ENUM, 1, 0, number),
                fuzz.message(fuzz.READ_NOTIFY, STRING, 1, 0, number),
                fuzz.message(23, 0, 0, number, 0),  # an echo
            )
        )
        for number in range(3000)
    ]
    sent: list[bytes] = []
    for pieces in [b"".join(requests)], requests:
        server = standing.Standing()
        async with opened(server, STATUS) as (link, transport):
            for each in pieces:
                await server.feed(link, transport, each)
            sent.append(bytes(transport.sent))
        await server.check()
    assert len(sent[0]) > 30_000
    assert sent[0] == sent[1]


async def test_a_client_with_little_to_do_sees_each_value() -> None:
    """Values in quick succession, just after the client has subscribed, are all sent."""
    server = standing.Standing()
    async with opened(server, fuzz.P + "LOG:COUNT") as (link, transport):
        subscribe = fuzz.message(fuzz.EVENT_ADD, LONG_NUMBER, 1, 0, 1, fuzz.MONITOR)
        await server.feed(link, transport, subscribe)
        transport.sent.clear()
        for number in range(1, 101):
            server.pvs.publish("LOG:COUNT", number)
        await asyncio.sleep(0)
        sent = [int.from_bytes(transport.sent[at + 16 : at + 20]) for at in range(0, 2400, 24)]
        assert sent == list(range(1, 101))
    await server.check()


@pytest.mark.parametrize("ends", ["orderly", "by a reset"])
async def test_what_was_sent_before_the_end_is_done(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that puts and goes at once has put; if it still listens, it has its answers too."""
    server = standing.Standing()
    monkeypatch.setattr(server.access, "rights", lambda *_, **__: Rights.READ | Rights.WRITE)
    put = fuzz.message(fuzz.WRITE, ENUM, 1, 0, 1, b"\0\1" + bytes(6))
    echo = fuzz.message(23, 0, 0, 7, 0)
    begun = list[str]()
    async with opened(server, fuzz.P + "START") as (link, transport):
        started = server.pvs.by_full_name[fuzz.P + "START"]
        assert started.puts is not None
        started.puts._action = lambda _, by: note(begun, by)
        gets = fuzz.message(fuzz.READ_NOTIFY, ENUM, 1, 0, 1) * 3
        deliver(link, gets + put + gets + echo)
        if ends == "orderly":
            assert link.eof_received()
            assert begun == []
            while not transport.closing:
                await asyncio.sleep(0)
            assert transport.sent.endswith(echo)
        else:
            transport.abort()
        await link.closed
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(begun) == 1


async def note(begun: list[str], by: str) -> None:
    """Carry out a put."""
    begun.append(by)
