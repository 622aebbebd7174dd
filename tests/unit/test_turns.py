"""The turns of clients, by a fake clock: how long one is, and that all is answered in order."""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rig import fuzz
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.links import ClientLimits, Links
from bgrscrpt_ioc.ca.reader import Nobody
from bgrscrpt_ioc.ca.turns import A_SECOND, TURN
from tests.faults import standing

A_TURN = TURN / A_SECOND  # s


class Worker(Nobody):
    """Has a lot to do for its client; each piece of work takes so long and has so long an answer.

    `all_work` is what all of them have done, s.
    """

    all_work = 1.0

    def __init__(self, link: Link, piece: float, answer: bytes) -> None:
        self.link, self._piece, self._answer = link, piece, answer
        self.turns: list[float] = []

    def take(self, data: memoryview) -> None:  # noqa: ARG002
        self.go_on()

    def go_on(self) -> None:
        before = Worker.all_work
        while not self.link.busy:
            Worker.all_work += self._piece
            self.link.put(self._answer)
        self.turns.append(Worker.all_work - before)


def worker(links: Links, piece: float, answer: bytes) -> Worker:
    """A client of its own, with its work."""
    made: list[Worker] = []

    def reader(link: Link) -> Worker:
        made.append(Worker(link, piece, answer))
        return made[0]

    link = Link(links, ("127.0.0.1", 1), reader, lambda: Worker.all_work)
    link.connection_made(standing.Transport(link, 1 << 60, []))
    return made[0]


@given(st.floats(1e-6, 2e-3), st.integers(8, 1 << 17))
def test_a_turn_is_short(piece: float, size: int) -> None:
    """However dear its requests are, a client has half a millisecond, and one request more."""

    async def turns() -> None:
        one = worker(Links(ClientLimits()), piece, bytes(size))
        one.link.buffer_updated(0)
        for _ in range(10):
            await asyncio.sleep(0)
        # The clock is looked at for every second small answer.
        assert max(one.turns) <= A_TURN + 2 * piece

    asyncio.run(turns())


async def test_all_who_have_much_to_do_share_a_turn() -> None:
    """Ten clients with dear requests take as much of a round of the event loop as one."""
    links = Links(ClientLimits())
    many = [worker(links, 1e-4, bytes(16)) for _ in range(10)]
    for each in many:
        each.link.buffer_updated(0)
    for _ in range(30):
        before = Worker.all_work
        await asyncio.sleep(0)
        assert Worker.all_work - before <= 2 * A_TURN
    worked = [sum(each.turns[1:]) for each in many]
    assert min(worked) > 0
    assert max(worked) < 3 * min(worked)


async def test_answers_are_in_order() -> None:
    """Requests that come while the client has no turn wait unread, and are answered in order."""
    r = Random(5)  # noqa: S311 - reproducible
    requests = b"".join(
        r.choice((
            fuzz.message(fuzz.READ_NOTIFY, 3, 1, 0, number),
            fuzz.message(fuzz.READ_NOTIFY, 0, 1, 0, number),
            fuzz.message(23, 0, 0, number, 0),  # an echo
        ))
        for number in range(3000)
    )  # fmt: skip
    sent: list[bytes] = []
    for step in 0.0, 1e-4, 2e-4:
        server = standing.Standing(step=step)
        link, transport = await server.connect()
        await server.feed(link, transport, fuzz.text(fuzz.CREATE, fuzz.P + "STATUS", 1))
        await server.feed(link, transport, requests)
        while not transport.reading or link.busy:
            await asyncio.sleep(0)
        sent.append(bytes(transport.sent))
        transport.abort()
        await link.closed
        await server.check()
    assert len(sent[0]) > 30_000
    assert sent[0] == sent[1] == sent[2]
