"""Long puts: which requests may be long, and how many bytes of them the server holds."""

from __future__ import annotations

from typing import Any

import pytest

from bgrscrpt_ioc.access.rights import Access, Asker
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.kinds import MOST_TEXTS, channel_of
from bgrscrpt_ioc.ca.links import ClientLimits, Links
from bgrscrpt_ioc.ca.longputs import LongPuts
from bgrscrpt_ioc.ca.messages import (
    LONGEST_REQUEST,
    READ_NOTIFY,
    WRITE,
    WRITE_NOTIFY,
    BrokenProtocolError,
)
from bgrscrpt_ioc.ca.served import ServedChannels
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.puts import ForwardedPuts
from bgrscrpt_ioc.script.pvtypes import record_of
from tests.unit.test_bounds import Holder
from tests.unit.test_script_pvs import declared

SIZE = 100_000
ARRAY, READ_ONLY, NUMBER = 0, 1, 2  # sids


def channels(address: str) -> ServedChannels:
    """Return channels of one client: an array, a read-only PV and a number."""
    access = Access(Security(write_hosts=[address]))
    access.security._writers = frozenset([address])
    served = ServedChannels(access, Asker("user", "host", address, "10.0.0.254"))
    for sid, (kind, writable) in enumerate([("floats", True), ("floats", False), ("float", True)]):
        record = record_of(declared(f"A{sid}", type=kind, size=SIZE, writable=writable))
        pv: Any = live(f"TE:A{sid}", record)
        if writable:
            pv.puts = ForwardedPuts(pv, lambda *_: None, lambda _: None)
        assert served.open(channel_of(pv.name, pv), sid).sid == sid
    return served


def test_a_put_is_as_long_as_its_pv() -> None:
    """A put may have all numbers of an array, or 1,000 texts; other requests must be short."""
    links, holder = Links(ClientLimits()), Holder("10.0.0.1")
    puts = LongPuts(links, holder, channels(holder.peer))

    def may(command: int, kind: int, sid: int, size: int) -> bool:
        try:
            puts.admit(command, kind, sid, size)
        except BrokenProtocolError:
            return False
        puts.admit(command, kind, sid, size)  # the next piece has come
        puts.came()
        return True

    longest = {kind: SIZE * wire.SIZES[kind] for kind in wire.NATIVES}
    longest[wire.STRING] = MOST_TEXTS * wire.STRING_SIZE
    for kind, size in longest.items():
        assert may(WRITE, kind, ARRAY, size)
        assert may(WRITE_NOTIFY, kind, ARRAY, size)
        assert not may(WRITE, kind, ARRAY, size + 16)
    for command, kind, sid in (
        (READ_NOTIFY, wire.DOUBLE, ARRAY), (WRITE, wire.DOUBLE, READ_ONLY),
        (WRITE, wire.DOUBLE, NUMBER), (WRITE, wire.DOUBLE, 77), (WRITE, 14, ARRAY),
    ):  # fmt: skip
        assert may(command, kind, sid, LONGEST_REQUEST)
        assert not may(command, kind, sid, LONGEST_REQUEST + 8)
    assert links.long_puts.used == 0


def test_their_bytes_are_shared_by_host() -> None:
    """A host that sends only halves of puts loses its largest client, so others have room."""
    links = Links(ClientLimits(long_puts=10 * 8 * SIZE))

    def begin(host: str) -> tuple[LongPuts, Holder]:
        holder = Holder(host)
        puts = LongPuts(links, holder, channels(host))
        puts.admit(WRITE, wire.DOUBLE, ARRAY, 8 * SIZE)
        return puts, holder

    theirs = [begin("10.0.0.1") for _ in range(8)]
    assert not any(holder.ending for _, holder in theirs)
    begun = [begin("10.0.0.2")]
    assert not any(holder.ending for _, holder in theirs), "there is room for another host"
    begun.append(begin("10.0.0.1"))
    assert sum(holder.ending for _, holder in theirs) == 1, "the one that has most makes room"
    assert not any(holder.ending for _, holder in begun)
    for puts, _ in theirs + begun:
        puts.came()
    assert links.long_puts.used == 0
    links = Links(ClientLimits(long_puts=0))
    with pytest.raises(BrokenProtocolError, match="too many long puts"):
        begin("10.0.0.3")
