"""Our answers are those of base's server, byte by byte: every DBR type, and odd requests.

The other server is EPICS's own record engine with our database.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.raw import CREATE, EVENT_ADD, HEADER, MASK, READ_NOTIFY, RIGHTS, Raw
from benchmarks.rig.ca import HERE, Peer, ca_environ, free_port
from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.records.table import RECORDS
from tests.ioc.served import P, Served
from tests.ioc.test_dbfile import TEMPLATE

CTRL_STRING = 28  # of 0, 7, 14, 21: the types of strings
KINDS = range(39)
COUNTS = (0, 1, 2)
READ, WRITE, EVENT_CANCEL, READ_SYNC, ERROR, CLEAR, WRITE_NOTIFY, ECHO = 3, 4, 2, 10, 11, 12, 19, 23
CLIENT_NAME, HOST_NAME = 20, 21
# Fields with the same values in base's records and ours, one of each type.
FIELDS = ("STATUS.DESC", "CPU.EGU", "PID.SCAN", "LOG.FTVL")
Message = tuple[int, int, int, int, int, int, bytes]


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """The ports of base's server and of ours."""
    port = free_port()
    command = [sys.executable, str(HERE / "softioc_peer.py"), str(TEMPLATE)]
    log: Path = tmp_path_factory.mktemp("as_base") / "log"
    with (
        Peer([*command, "P=TE:,NAME=BGRSCRPT_01"], ca_environ(port)),
        Served(log, still=True) as ours,
    ):
        yield port, ours.port


def get(client: Raw, sid: int, kind: int, count: int) -> Message:
    """Read, and return the whole answer."""
    client.socket.sendall(client.get(sid, kind, count))
    return client.message()


# Bytes that base leaves as they were in memory; they align a value or a float.
PADDING = {
    11: (4, 5), 13: (4, 8), 15: (12, 14), 17: (12, 14), 18: (12, 15), 20: (12, 16),
    23: (6, 8), 27: (6, 8), 30: (6, 8), 34: (6, 8), 25: (18, 19), 32: (20, 21),
}  # fmt: skip


def settled(kind: int, payload: bytes) -> bytes:
    """Leave out what differs between any two servers: alarm, time, padding."""
    if kind < 7 or kind == wire.CLASS_NAME:
        return payload
    start, end = PADDING.get(kind, (0, 0))
    payload = payload[:start] + bytes(end - start) + payload[end:]
    return payload[12 if 14 <= kind <= 20 else 4 :]


@pytest.mark.parametrize("name", [each.name for each in RECORDS])
def test_metadata_of_every_type(ports: tuple[int, int], name: str) -> None:
    """Each record read as each type has base's size, count, status and all before the value."""
    found: list[list[object]] = []
    for port in ports:
        with Raw(port) as client:
            (sid,) = client.create(P + name)
            answers = [(kind, get(client, sid, kind, 1)) for kind in KINDS]
            found.append([_without_value(kind, *each) for kind, each in answers])
    for base, ours in zip(*found, strict=True):
        assert ours == base


def _without_value(kind: int, *each: object) -> tuple[object, ...]:
    command, size, data_type, count, status, identity, payload = each
    assert isinstance(payload, bytes)
    before = len(wire.metadata(kind, wire.Meta(choices=("x",))))
    return command, size, data_type, count, status, identity, settled(kind, payload[:before])


@pytest.mark.parametrize("name", FIELDS)
def test_values_of_every_type(ports: tuple[int, int], name: str) -> None:
    """For a field read as each type, with any count, the whole answer is base's."""
    found: list[list[object]] = []
    for port in ports:
        with Raw(port) as client:
            (sid,) = client.create(P + name)
            cases = [(kind, count) for kind in KINDS for count in COUNTS]
            answers = [(case, get(client, sid, *case)) for case in cases]
            found.append([(c, *each[:6], settled_of(c, each)) for c, each in answers])
    for base, ours in zip(*found, strict=True):
        assert ours == base


def settled_of(case: tuple[int, int], answer: Message) -> bytes:
    """Leave out what base leaves as it was in memory: after a status, and after a NUL."""
    if not answer[3]:
        return b""
    value = settled(case[0], answer[6])
    if case[0] % 7 or case[0] > CTRL_STRING:
        return value
    texts = (value[at : at + wire.STRING_SIZE] for at in range(0, len(value), wire.STRING_SIZE))
    return b"|".join(text.partition(b"\0")[0] for text in texts)


def message(command: int, kind: int, count: int, one: int, two: int, data: bytes = b"") -> bytes:
    """Return one request."""
    return HEADER.pack(command, len(data), kind, count, one, two) + data


MONITOR = MASK.pack(0, 0, 0, 5, 0)
NAME = b"somebody\0".ljust(16, b"\0")
# What a client of base's acceptance test asks, or a confused client. {sid} is an mbbi, read-only.
ODD: dict[str, tuple[int, list[bytes]]] = {  # how many updates of a monitor come; what is asked
    "an acknowledgement is read": (
        0, [message(READ_NOTIFY, 35, 1, 0, 1), message(READ_NOTIFY, 36, 0, 0, 1)],
    ),
    "more elements than there are": (0, [message(READ_NOTIFY, 3, 3, 0, 1)]),
    "a monitor of an acknowledgement": (1, [message(EVENT_ADD, 35, 1, 0, 1, MONITOR)]),
    "a monitor of too many": (1, [message(EVENT_ADD, 3, 3, 0, 1, MONITOR)]),
    "one monitor twice": (2, [message(EVENT_ADD, 3, 1, 0, 1, MONITOR)] * 2),
    "a get without callback": (0, [message(READ, 3, 1, 0, 1)]),
    "of an acknowledgement": (0, [message(READ, 35, 1, 0, 1)]),
    "a synchronisation": (0, [message(READ_SYNC, 0, 1, 2, 3)]),
    "a user's name after a channel": (0, [message(CLIENT_NAME, 0, 0, 0, 0, NAME)]),
    "a host's name after a channel": (0, [message(HOST_NAME, 0, 0, 0, 0, NAME)]),
    "an echo": (0, [message(ECHO, 1, 2, 3, 4, b"abcdefgh")]),
    "no such monitor": (0, [message(EVENT_CANCEL, 3, 1, 0, 99)]),
    "no such channel": (0, [message(READ_NOTIFY, 3, 1, 1000, 1)]),
    "no such type": (0, [message(READ_NOTIFY, 39, 1, 0, 1)]),
    "a put of no such type": (0, [message(WRITE_NOTIFY, 39, 1, 0, 1, bytes(8))]),
    "nothing to clear": (0, [message(CLEAR, 0, 0, 1000, 1)]),
    "no such command": (0, [message(99, 0, 0, 0, 0)]),
}  # fmt: skip
OF_NO_CHANNEL = (READ_SYNC, ECHO, CLIENT_NAME, HOST_NAME, 99)


@pytest.mark.parametrize("odd", ODD)
def test_odd_requests(ports: tuple[int, int], odd: str) -> None:
    """If base answers an odd request with an error and goes on, so does our server.

    Where base ends a connection, so do we.

    Before that both say why, each in its own words.
    """
    updates, asked = ODD[odd]
    found: list[list[tuple[Any, ...]]] = []
    for port in ports:
        with Raw(port) as client:
            (sid,) = client.create(P + "STATUS")
            data = b"".join(_of_channel(each, sid) for each in asked)
            client.socket.sendall(data + client.get(sid, wire.CLASS_NAME, 1, LAST))
            found.append(sorted(_outline(each) for each in _until(client, updates)))
    base, ours = found
    if base[-1] == ENDED:
        assert ours[-1] == ENDED
    else:
        assert ours == base


LAST = 77  # what the last request is called
ENDED = (99,)


def _of_channel(request: bytes, sid: int) -> bytes:
    """Put the server's number of the channel into a request."""
    command, size, kind, count, one, two = HEADER.unpack_from(request)
    if command not in OF_NO_CHANNEL:
        one += sid
    return HEADER.pack(command, size, kind, count, one, two) + request[HEADER.size :]


def _until(client: Raw, updates: int) -> Iterator[Message | None]:
    """Yield what comes until the last request is answered and all updates are there."""
    last = False
    while not last or updates:
        try:
            each = client.message()
        except ConnectionError:  # the end
            yield None
            return
        updates -= each[0] == EVENT_ADD
        last |= each[0] == READ_NOTIFY and each[5] == LAST
        if each[0] != RIGHTS:
            yield each


def _outline(each: Message | None) -> tuple[Any, ...]:
    if each is None:
        return ENDED
    command, _, kind, count, one, two, payload = each
    if command == ERROR:  # which goes with words of its own, and the number of the channel
        return command, one, two, struct.unpack(">HHHH", payload[:8])
    return command, kind, count, one, two


def test_two_channels_of_one_number(ports: tuple[int, int]) -> None:
    """If a client gives two channels one number, they are two channels, and end one by one."""
    for port in ports:
        with Raw(port) as client:
            name = (P + "STATUS").encode() + b"\0"
            name += bytes(-len(name) % 8)
            client.socket.sendall(message(CREATE, 0, 0, 5, 13, name) * 2)
            sids: set[int] = set()
            while len(sids) < 2:
                each = client.message()
                sids |= {each[5]} if each[0] == CREATE else set()
            first, second = sorted(sids)
            client.socket.sendall(message(CLEAR, 0, 0, first, 5) + client.get(second, 3))
            assert [client.message()[0] for _ in range(2)] == [CLEAR, READ_NOTIFY]
