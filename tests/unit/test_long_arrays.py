"""Long arrays as another type: they are converted in pieces, while others have their turns."""

from __future__ import annotations

import asyncio
import struct
from array import array
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rig import fuzz
from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.channels import Reading
from bgrscrpt_ioc.ca.kinds import COST, PIECE, channel_of
from bgrscrpt_ioc.ca.turns import TURN
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.script.pvtypes import record_of
from tests.faults import standing
from tests.unit.test_script_pvs import declared
from tests.unit.test_turns import deliver, opened

NAME = fuzz.P + "ARRAY"
LARGEST = 100_000
STRING, FLOAT, LONG, DOUBLE = wire.STRING, wire.FLOAT, wire.LONG, wire.DOUBLE


def record(kind: str = "floats") -> Any:
    """An array of a script."""
    return live(NAME, record_of(declared("ARRAY", type=kind, size=LARGEST, precision=2)))


def serve(server: standing.Standing) -> Any:
    """Have the server serve such an array, with as many numbers as there may be."""
    made = server.records[NAME] = record()
    made.post(array("d", range(LARGEST)))
    return made


def whole(pieces: Any) -> Reading:
    """What the pieces come to; each of them costs a turn."""
    while True:
        try:
            assert next(pieces) == PIECE * COST > TURN
        except StopIteration as end:
            return end.value


@given(
    kind=st.integers(0, wire.LAST_OF_VALUES),
    count=st.integers(0, 3 * PIECE),
    number=st.integers(PIECE + 1, 2 * PIECE + 1),
    values=st.lists(st.floats(), min_size=1, max_size=5),
    type_=st.sampled_from(["floats", "ints"]),
)
def test_pieces_are_the_whole(
    kind: int, count: int, number: int, values: list[float], type_: str
) -> None:
    """In pieces, an array reads as it does in one go, whatever the type and count."""
    pv, own = record(type_), DOUBLE if type_ == "floats" else LONG
    given = (values * number)[:number]
    pv.post(array("d", given) if own == DOUBLE else pv.understood(array("f", [0] * number)))
    pv.post(pv.value, Severity.MAJOR)
    channel = channel_of(NAME, pv)
    pieces = channel.reading_in_pieces(kind, count)
    if wire.native(kind) == own:
        assert pieces is None
    else:
        assert whole(pieces) == channel.read(kind, count)


def test_what_is_quick_has_no_pieces() -> None:
    """A short array, the array's own type and other PVs are read in one go."""
    pv = record()
    channel = channel_of(NAME, pv)
    pv.post(array("d", range(PIECE)))
    assert channel.reading_in_pieces(STRING, 0) is None
    pv.post(array("d", range(LARGEST)))
    assert channel.reading_in_pieces(DOUBLE, 0) is None
    assert channel.reading_in_pieces(STRING, 0) is not None
    # An old kind of read takes the first element, and no others are converted for it.
    assert channel.read(wire.STSACK_STRING).data[8:] == b"0.00".ljust(40, b"\0")


def get(kind: int, number: int, count: int = 0) -> bytes:
    """A request for the array."""
    return fuzz.message(fuzz.READ_NOTIFY, kind, count, 0, number)


def messages(sent: bytearray) -> list[tuple[int, int, bytes]]:
    """The command, number and payload of each message of the server."""
    found, at = list[tuple[int, int, bytes]](), 0
    while at < len(sent):
        command, size, _, _, _, number = struct.unpack_from(">HHHHII", sent, at)
        at += 16
        if size == 0xFFFF:
            size = int.from_bytes(sent[at : at + 4])
            at += 8
        found.append((command, number, bytes(sent[at : at + size])))
        at += size
    return found


async def test_a_round_has_one_piece() -> None:
    """However many clients want a long array as another type: a round has a turn for them all."""
    server = standing.Standing(standing.REAL)
    serve(server)
    async with (
        opened(server, NAME) as (one, _),
        opened(server, NAME) as (two, two_out),
        opened(server, fuzz.P + "STATUS") as (small, small_out),
    ):
        deliver(one, get(FLOAT, 1) * 3)
        deliver(two, get(LONG, 1) * 3)
        rounds = 0
        while one.turn_due or two.turn_due:
            small_out.sent.clear()
            await server.feed(small, small_out, fuzz.message(fuzz.READ_NOTIFY, 3, 1, 0, 1))
            assert len(small_out.sent) == 24
            await asyncio.sleep(0)
            answer = 4 * LARGEST + 100  # is only sent
            assert server.links.turns.spent <= TURN + max(PIECE * COST, answer)
            rounds += 1
        assert rounds > 6 * LARGEST / PIECE
        assert [number for _, number, _ in messages(two_out.sent)] == [1, 1, 1]
        expected = struct.pack(f">{LARGEST}i", *range(LARGEST))
        assert messages(two_out.sent)[0][2] == expected
    await server.check()


async def test_answers_keep_their_order() -> None:
    """What a client asks for after a long array comes after it; a change meanwhile does not mix."""
    server = standing.Standing(standing.REAL)
    pv = serve(server)
    async with opened(server, NAME) as (link, transport):
        echo = fuzz.message(23, 0, 0, 0, 7)
        deliver(
            link, get(FLOAT, 1) + echo + get(FLOAT, 2, 3) + fuzz.message(fuzz.READ, FLOAT, 2, 0, 3)
        )
        for _ in range(50):
            await asyncio.sleep(0)
        assert not transport.sent
        pv.post(array("d", range(LARGEST, 0, -1)))
        while link.turn_due:
            await asyncio.sleep(0)
        first, then, second, third = messages(transport.sent)
        assert first == (fuzz.READ_NOTIFY, 1, struct.pack(f">{LARGEST}f", *range(LARGEST)))
        assert then == (23, 7, b"")
        newest = struct.pack(">3f", LARGEST, LARGEST - 1, LARGEST - 2)
        assert second == (fuzz.READ_NOTIFY, 2, newest.ljust(16, b"\0"))
        assert third == (fuzz.READ, 3, newest[:8])
    await server.check()


async def test_monitors_send_the_newest() -> None:
    """Monitors of a long array as another type end with the newest value, and mix none."""
    server = standing.Standing(standing.REAL)
    pv = serve(server)
    subscribe = fuzz.message(fuzz.EVENT_ADD, LONG, 0, 0, 1, fuzz.MONITOR)
    async with (
        opened(server, NAME) as (one, one_out),
        opened(server, NAME) as (two, two_out),
    ):
        deliver(one, subscribe)
        deliver(two, subscribe)
        for shift in range(1, 100):
            pv.post(array("d", range(shift, LARGEST + shift)))
            await asyncio.sleep(0)
        while one.turn_due or two.turn_due:
            await asyncio.sleep(0)
        for out in one_out, two_out:
            arrays = [struct.unpack(f">{LARGEST}i", data) for *_, data in messages(out.sent)]
            assert all(each == tuple(range(each[0], each[0] + LARGEST)) for each in arrays)
            shifts = [each[0] for each in arrays]
            assert shifts == sorted(set(shifts))
            assert shifts[-1] == 99
    await server.check()


async def test_one_round_has_one_large_update() -> None:
    """A long array that many clients watch, with little else to do, is sent to one in a round."""
    server = standing.Standing(standing.ClientLimits())
    pv = serve(server)
    async with AsyncExitStack() as stack:
        outs = [(await stack.enter_async_context(opened(server, NAME))) for _ in range(20)]
        for link, _ in outs:
            deliver(link, fuzz.message(fuzz.EVENT_ADD, DOUBLE, 0, 0, 1, fuzz.MONITOR))
        while any(link.turn_due for link, _ in outs):
            await asyncio.sleep(0)
        for _, out in outs:
            out.sent.clear()
        for link, _ in outs:
            link._spending._much_until = 0.0  # it was a while ago
        pv.post(array("d", [1.0] * LARGEST))
        rounds = 0
        while any(link.turn_due for link, _ in outs):
            told = sum(bool(out.sent) for _, out in outs)
            assert told <= 1 + rounds
            await asyncio.sleep(0)
            rounds += 1
        assert all(len(out.sent) > 8 * LARGEST for _, out in outs)
    await server.check()


@pytest.mark.parametrize("how", ["cleared", "gone", "removed"])
async def test_what_ends_meanwhile(how: str) -> None:
    """A channel, a client or a record may go while an array is converted."""
    server = standing.Standing(standing.REAL)
    pv = serve(server)
    async with opened(server, NAME) as (link, transport):
        deliver(link, get(FLOAT, 1) + fuzz.message(fuzz.EVENT_ADD, LONG, 0, 0, 2, fuzz.MONITOR))
        for _ in range(300):  # the second of them is under way
            await asyncio.sleep(0)
        if how == "cleared":
            deliver(link, fuzz.message(fuzz.CLEAR, 0, 0, 0, 1))
        elif how == "removed":
            del server.records[NAME]
            server.channels.removed([pv])
        else:
            transport.abort()
        while link.turn_due and not transport.closing:
            await asyncio.sleep(0)
    await server.check()
