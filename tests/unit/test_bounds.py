"""The server limits what a client can make it do, store and log. Tested without a network."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rig import fuzz
from bgrscrpt_ioc.access.complaints import QUIET, Complaints
from bgrscrpt_ioc.access.putlog import PutLog
from bgrscrpt_ioc.access.rights import Asker
from bgrscrpt_ioc.ca import messages, wire
from bgrscrpt_ioc.ca.gets import MOST
from bgrscrpt_ioc.ca.link import BATCH
from bgrscrpt_ioc.ca.links import ANSWERS, ClientLimits, Links
from bgrscrpt_ioc.ca.search import Searches
from bgrscrpt_ioc.ca.shares import FEW, Shares
from tests.faults import standing


class Holder:
    """A connection of one host."""

    def __init__(self, peer: str) -> None:
        self.peer, self.heard, self.at_work, self.ending = peer, 0.0, True, False
        self.why: object = None

    def refuse(self, why: object) -> None:
        self.ending, self.why = True, why

    def take_no_more(self) -> None:
        pass

    async def close(self) -> None:
        pass


def filled(shares: Shares[Any], holder: Holder, wanted: int) -> int:
    """Take up to `wanted` of them, and return how many there were."""
    had = 0
    while had < wanted and shares.free_for(holder.peer):
        shares.take(holder)
        had += 1
    return had


def test_one_gateway_may_have_all_pvs_of_500_instances() -> None:
    """One circuit gets 60 PVs of each of 500 instances, and an archiver as many."""
    shares: Shares[Any] = Shares(ClientLimits().channels)
    for host in "gateway", "archiver":
        assert filled(shares, Holder(host), 30_000) == 30_000


def test_a_host_that_wants_all_leaves_some() -> None:
    """If one host takes everything that it can, the next host still gets a share."""
    shares: Shares[Any] = Shares(100_000)
    got = [filled(shares, Holder(f"h{number}"), 100_000) for number in range(4)]
    assert got[0] == 80_000
    assert all(each > 500 for each in got)


def test_what_is_given_back_is_free_again() -> None:
    """The share of a client that has disconnected is free again."""
    shares: Shares[Any] = Shares(100)
    holder = Holder("a")
    for _ in range(2):
        assert filled(shares, holder, 1000) == 80
        shares.give(holder, 80)
    assert (shares.used, dict(shares._of), dict(shares._of_host)) == (0, {}, {})


def test_an_operator_gets_a_channel_where_all_are_taken() -> None:
    """If all channels are taken, the largest client of the largest host makes room for another."""
    links = Links(ClientLimits(channels=1000))
    large, gateway, operator = Holder("a"), Holder("b"), Holder("a")
    filled(links.channels, large, 1000)
    filled(links.channels, gateway, 1000)
    while links.channels.used < 1000:  # a client that has few channels always gets more
        links.channels.take(Holder("c"))
    assert links.may_have(links.channels, "channels", operator)
    assert large.ending
    assert not gateway.ending
    assert large.why == "too many channels: the client that has most is disconnected"


def test_who_has_many_gets_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """A host that has its full share is refused, with one log line; few of its searches count."""
    now = 0.0
    links = Links(ClientLimits(channels=1000), lambda: now)
    hog = Holder("10.0.0.1")
    filled(links.channels, hog, 1000)
    for _ in range(5):
        assert not links.may_have(links.channels, "channels", hog)
    assert len(caplog.messages) == 1
    assert "has its share of the 1000 channels" in caplog.text
    answered = [links.answers(hog.peer, 7) for _ in range(9)]
    assert sum(answered) == ANSWERS
    assert links.answers("10.0.0.2", 7) == 7
    now += 1
    assert links.answers(hog.peer, 7) == 7


def test_who_connects_without_end_has_hundreds_looked_at_now_and_then() -> None:
    """The client that was silent longest is ended first; clients that send something stay."""
    links, looked = Links(ClientLimits(connections=100)), 0

    class Silent(Holder):
        @property
        def heard(self) -> float:
            nonlocal looked
            looked += 1
            return self.at

        @heard.setter
        def heard(self, at: float) -> None:
            self.at = at

    there = [Silent("a") for _ in range(100)]
    for at, each in enumerate(there):
        each.heard, each.at_work = at, at < 10
        links.add(each)
    there[30].heard = 200
    ended = []
    for _ in range(60):
        looked_before = [each for each in there if each.ending]
        links.add(Silent("a"))
        ended += [each for each in there if each.ending and each not in looked_before]
        if len(ended) == 20:
            there[31].heard, there[32].at_work = 300, True
    assert ended == [*there[10:30], *there[33:73]]
    assert looked < 1000, "all are looked at for each that comes"
    for each in [*links]:
        links.discard(each)
    assert not links._of_host


async def test_monitors_of_one_record_are_counted() -> None:
    """A host with too many monitors of one record gets no more of it, and may watch others."""
    server = standing.Standing()
    server.links.limits = replace(server.links.limits, subscriptions_of_record=2)
    clients = [await server.connect() for _ in range(2)]
    for link, transport in clients:
        for data in (*fuzz.CONVERSATION[:5],):
            await server.feed(link, transport, data)
    before = [len(transport.sent) for _, transport in clients]

    def watch(sid: int, identity: int) -> bytes:
        return fuzz.message(fuzz.EVENT_ADD, 4, 1, sid, identity, fuzz.MONITOR)

    (first, theirs), (second, its) = clients
    await server.feed(first, theirs, watch(0, 1) + watch(0, 2) + watch(0, 3) + watch(1, 4))
    await server.feed(second, its, watch(0, 1) + watch(1, 2))
    await asyncio.sleep(0)
    refused = [
        transport.sent[at:].count(b"TE:BGRSCRPT_01:STATUS\0")
        for (_, transport), at in zip(clients, before, strict=True)
    ]
    assert refused == [1, 1]
    assert len(server.links.watching) == 2
    for link, transport in clients:
        transport.abort()
        await link.closed
    assert not server.links.watching
    await server.check()


def test_few_are_few() -> None:
    """The server makes room for a client with few channels, and not for one with many."""
    shares: Shares[Any] = Shares(10_000)
    large, other = Holder("a"), Holder("b")
    for _ in range(500):
        shares.take(large)
    for _ in range(FEW):
        assert shares.in_the_way(other) is large
        shares.take(other)
    assert shares.in_the_way(other) is None


# --- the log -----------------------------------------------------------------------------------


async def test_refused_puts_are_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However often a host puts without the right, the log has one line a minute, with a count."""
    caplog.set_level(logging.INFO)
    log = PutLog({})
    now = 0.0
    log._refusals = Complaints(lambda: now)
    for _ in range(1000):
        log.refused("u@h", "A:START", 1, "no right\n--- forged", "10.0.0.1")
    log.refused("u@h", "A:START", 1, "no right", "10.0.0.2")
    now += QUIET
    log.refused("u@h", "A:START", 1, "no right", "10.0.0.1")
    assert len(caplog.messages) == 3
    assert "\n" not in caplog.messages[0]
    assert caplog.messages[2].endswith("no right (and 999 more before)")


@pytest.mark.parametrize("name", ["\x1b]0;x\x07\x1b[2J", "a\n--- Stopped", "\u202eevil", ""])
def test_names_reach_no_terminal(name: str) -> None:
    """A client's user and host names lose control characters, so they begin no line of the log."""
    by = Asker(name, name, "127.0.0.1", "127.0.0.1").by
    assert by.isprintable()
    assert by.count("@") == 1


# --- faults ------------------------------------------------------------------------------------


async def test_a_fault_in_answering_costs_its_client_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the IOC ends the connection of the client that asked; one log line says where."""
    server = standing.Standing()
    (other, _), clients = await server.connect(), [await server.connect() for _ in range(3)]

    def has(name: str) -> bool:
        raise RecursionError(name)

    monkeypatch.setattr(server.channels, "has", has)
    for link, transport in clients:
        await server.feed(link, transport, fuzz.CONVERSATION[3])
        assert transport.closing
        await link.closed
    assert not server.faults
    assert not other.ending
    assert len(caplog.messages) == 1
    assert "a fault of the IOC at test_bounds.py:" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_monitor_that_cannot_be_told_stops_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fault in the event to one client does not reach the code that made the change."""
    server = standing.Standing()
    clients = [await server.connect() for _ in range(2)]
    for link, transport in clients:
        for data in (*fuzz.CONVERSATION[:4], fuzz.CONVERSATION[8]):
            await server.feed(link, transport, data)
    channel = server.channels.find(fuzz.P + "STATUS")
    assert channel is not None

    def read(*_: object) -> None:
        raise RecursionError("deep")

    monkeypatch.setattr(type(channel), "read", read)
    server.pvs.publish("STATUS", 2)
    assert all(transport.closing for _, transport in clients)


async def test_a_search_that_fails_costs_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Names of any depth are looked up; a fault in a search is logged once."""
    server = standing.Standing()
    deep = fuzz.text(fuzz.SEARCH, fuzz.P + "STATUS." + "$" * 1300, 1, 1)
    for _ in range(3):
        server.searches.datagram_received(deep, ("10.0.0.1", 9))
    assert not caplog.messages
    assert not server.channels.has(fuzz.P + "STATUS." + "$" * 1300)

    def serves(name: str) -> bool:
        raise RecursionError(name[:9])

    broken = Searches(serves, 5064, (), server.links.complaints)
    broken.connection_made(standing.Mailbox())
    for _ in range(3):
        broken.datagram_received(deep, ("10.0.0.1", 9))
    assert len(caplog.messages) == 1
    assert "RecursionError" in caplog.text


async def test_nothing_ends_within_resume_writing() -> None:
    """`resume_writing` ends no connection: asyncio would end it again, and log 19 lines."""
    server = standing.Standing()
    link, transport = await server.connect()
    link.pause_writing()
    await server_takes(link, fuzz.message(99))
    link.resume_writing()
    assert not transport.closing
    await link.closed
    assert transport.closing


async def server_takes(link: standing.Link, data: bytes) -> None:
    """Deliver bytes to the server; they wait if the client is stalled."""
    link.get_buffer(-1)[: len(data)] = data
    link.buffer_updated(len(data))
    for _ in range(2):  # a turn comes at the end of the next round
        await asyncio.sleep(0)


# --- memory ------------------------------------------------------------------------------------


async def test_what_nobody_has_is_forgotten() -> None:
    """Channels of fields are made on request, and deleted with the last client that has them."""
    server = standing.Standing()
    link, transport = await server.connect()
    for cid, field in enumerate(("", ".DESC", ".DESC$", ".VAL")):
        await server.feed(link, transport, fuzz.text(fuzz.CREATE, f"{fuzz.P}STATUS{field}", cid))
    assert len(server.channels._made) == 3
    transport.abort()
    await link.closed
    assert not server.channels._made
    await server.check()


async def test_what_has_ended_is_gone_at_once() -> None:
    """The memory of a client is free at once, without a full garbage collection."""
    server = standing.Standing()
    gc.collect()
    gc.disable()
    try:
        link, transport = await server.connect()
        for data in fuzz.CONVERSATION[:11]:
            await server.feed(link, transport, data)
        circuit = weakref.ref(link._reader)
        transport.abort()
        await link.closed
        del link, transport
        for _ in range(5):  # turns that were due
            await asyncio.sleep(0)
        assert circuit() is None
    finally:
        gc.enable()
    await server.check()


@given(st.integers(0, 6), st.binary(max_size=40))
def test_arrays_are_converted_quickly_and_right(kind: int, data: bytes) -> None:
    """An array of characters converts to another type quickly, with the right values."""
    made = wire.pack_bytes(kind, data)
    slow = wire.pack_strings(map(str, data)) if kind == wire.STRING else wire.pack(kind, data)
    assert made == slow


async def test_gets_that_are_current_in_one_moment_are_answered_at_the_client_s_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many large gets that waited for one reading are answered one at a time, and all are."""
    server, looks = standing.Standing(), list[asyncio.Future[None]]()

    def refresh(_: str) -> asyncio.Future[None]:
        looks.append(asyncio.get_running_loop().create_future())
        return looks[-1]

    monkeypatch.setattr(server.commands, "refresh", refresh)
    link, transport = await server.connect(patience=0)
    await server.feed(link, transport, fuzz.text(fuzz.CREATE, fuzz.P + "SCRIPT", 1))
    elements, asked = 1000, MOST + 100
    one = 16 + wire.STRING_SIZE * elements
    for number in range(asked):
        assert transport.reading == (number <= MOST)
        await server_takes(link, fuzz.message(fuzz.READ_NOTIFY, 0, elements, 0, number))
    assert not transport.reading
    for _ in range(2 * asked):
        for look in looks:
            if not look.done():
                look.set_result(None)
        await asyncio.sleep(0)
        assert transport.waiting <= standing.HIGH_WATER + BATCH + one
        transport.waiting, stalled = 0, link.stalled
        if stalled:
            link.resume_writing()
    assert len(transport.sent) == 16 + 16 + asked * one  # rights, channel, and each answer
    assert transport.reading
    transport.abort()
    await link.closed
    await server.check()


# --- messages ----------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40)), st.data())
def test_requests_come_in_any_pieces(payloads: list[bytes], data: st.DataObject) -> None:
    """Requests that arrive in pieces are read as a whole and in order."""
    sent = [messages.message(4, 3, 1, 7, at, each) for at, each in enumerate(payloads)]
    stream, unread = b"".join(sent), bytearray()
    found: list[messages.Request] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        unread += stream[:cut]
        stream = stream[cut:]
        while request := messages.first_request(unread, lambda *_: None):
            found.append(request)
    assert not unread
    assert [each.two for each in found] == list(range(len(payloads)))
    for each, payload in zip(found, payloads, strict=True):
        assert each.payload.rstrip(b"\0") == payload.rstrip(b"\0")
        assert len(each.payload) % 8 == 0
