"""Gets that are answered from kept bytes: the same bytes, in order, never an old value."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.raw import CREATE, READ_NOTIFY, Raw
from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import FOREVER, Ioc
from bgrscrpt_ioc.records.table import RECORDS
from tests.ioc.served import Served

P = "TE:BGRSCRPT_01:"
NAMES = [P + each.name for each in RECORDS] + [P + "STATUS.DESC", P + "STATUS.SEVR", P + "LOG.NORD"]
KINDS = [*range(35), 37, 38]  # all DBR types that can be read
Bench = tuple[Served, Served]


@pytest.fixture(scope="module")
def iocs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two IOCs that differ only in one thing: one keeps no answers."""
    log = tmp_path_factory.mktemp("reads") / "log"
    with (
        Served(log, still=True) as fast,
        Served(log, still=True, fast_reads=False) as slow,
    ):
        for ioc in fast, slow:
            ioc.publish("LOG", "first\nsecond\n")
            ioc.publish("EXITREASON", "exit 3", 1)
            ioc.publish("CPU", 12.3)
        yield fast, slow


def answers(client: Raw, sid: int, kind: int, count: int) -> list[bytes]:
    """Return the answers to one read, sent three times in one packet: the first can be kept."""
    client.socket.sendall(client.get(sid, kind, count) * 3)
    found = [client.message() for _ in range(3)]
    return [struct.pack(">5H", *each[:1], *each[1:4], 0) + bytes(each[6]) for each in found]


def without_time(kind: int, answer: bytes) -> bytes:
    """Leave out the time stamps, which differ between two IOCs."""
    if 14 <= kind <= 20:
        return answer[:14] + bytes(8) + answer[22:]
    return answer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from(KINDS), st.integers(0, 3))
def test_what_is_kept_is_what_is_made(iocs: Bench, name: str, kind: int, count: int) -> None:
    """For every record, type and count, an answer that was kept equals one that was made."""
    found = []
    for ioc in iocs:
        with Raw(ioc.port) as client:
            (sid,) = client.create(name)
            try:
                found.append(
                    [without_time(kind, each) for each in answers(client, sid, kind, count)]
                )
            except ConnectionError:
                found.append([b"refused"])
    fast, slow = found
    assert fast == slow
    assert len(set(fast)) == 1


def test_many_requests_in_any_pieces(iocs: Bench) -> None:
    """However the requests are cut into packets, each is answered once, in order."""
    with Raw(iocs[0].port) as client:
        first, second = client.create(P + "STATUS", P + "AUTORESTART")
        request = b"".join(
            struct.pack(">HHHHII", READ_NOTIFY, 0, kind, 1, sid, ioid)
            for ioid, (sid, kind) in enumerate([(first, 3), (second, 17), (first, 0)] * 100)
        )
        for at in range(0, len(request), 1000):
            client.socket.sendall(request[at : at + 1000])
        assert [client.message()[5] for _ in range(300)] == list(range(300))


def test_a_read_does_not_overtake(iocs: Bench) -> None:
    """A read after another request is answered after it, even if its answer is at hand."""
    with Raw(iocs[0].port) as client:
        (sid,) = client.create(P + "STATUS")
        answers(client, sid, 3, 1)
        name = (P + "START").encode() + b"\0"
        name += bytes(-len(name) % 8)
        create = struct.pack(">HHHHII", CREATE, len(name), 0, 0, 99, 13) + name
        client.socket.sendall(create + client.get(sid, 3))
        commands = [client.message()[0] for _ in range(3)]
        assert commands[-1] == READ_NOTIFY


def test_no_old_value(tmp_path: Path) -> None:
    """After a change that a monitor or a completed put has told, a get returns the new value."""
    (tmp_path / "script.py").write_text(FOREVER)
    script = tmp_path / "script.py"
    with (
        Ioc(tmp_path, script, "--prefix", "TE:", "--at-start", "stop") as ioc,
        Client(ioc.ready().port) as client,
        Raw(ioc.port) as reader,
    ):
        status, message, switch = reader.create(P + "STATUS", P + "STATUS:MSG", P + "AUTORESTART")
        for round_ in range(5):
            before = [
                answers(reader, sid, kind, 0)[-1] for sid, kind in ((status, 17), (message, 4))
            ]
            client.put_callback(P + ("START", "STOP")[round_ % 2])
            after = [answers(reader, sid, kind, 0)[0] for sid, kind in ((status, 17), (message, 4))]
            assert all(old != new for old, new in zip(before, after, strict=True))
            client.put_callback(P + "AUTORESTART", round_ % 2)
            assert answers(reader, switch, 3, 1)[0][-8:][:2] == bytes((0, round_ % 2))
