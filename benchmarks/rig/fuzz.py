"""What no client should send: cases by the number, each made again from its seed and number.

Knows the protocol, and nothing of who is to stand it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

SEED = 20261124
P = "TE:BGRSCRPT_01:"
HEADER = struct.Struct(">HHHHII")
EXTENDED = struct.Struct(">HHHHIIII")

VERSION, EVENT_ADD, EVENT_CANCEL, READ = 0, 1, 2, 3
WRITE, SEARCH, EVENTS_OFF, EVENTS_ON = 4, 6, 8, 9
CLEAR, READ_NOTIFY, CREATE, WRITE_NOTIFY, CLIENT_NAME, HOST_NAME, ECHO = 12, 15, 18, 19, 20, 21, 23
COMMANDS = [*range(30), 0xFFFF]
SIZES = [0, 1, 7, 8, 15, 16, 17, 40, 1024, 16368, 16384, 16385, 0x7FFF, 0xFFFE, 0xFFFF]
HUGE = [*SIZES, 1 << 16, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 16, (1 << 32) - 1]
NAMES = [
    *(
        P + pv
        for pv in ("START", "STOP", "STATUS", "LOG", "LOG:LINE", "PID", "AUTORESTART", "ARRAY")
    ),
    *(P + field for field in ("STATUS.DESC$", "STATUS.ZRST", "LOG.NORD", "START.VAL", "STATUS.")),
    *("", "x", "\0", "é" * 39, "A" * 300, P, P + "START.{", P + "START.NONE", P + "NONE"),
    P + "LOG.VAL{" + '{"a":' * 2500,  # filters: one deeper than a parser goes,
    P + "LOG.VAL[1:2:3:4]",  # and one that caproto cannot parse
]
STEPS = 8  # messages of a conversation that is made up


def message(
    command: int, kind: int = 0, count: int = 0, p1: int = 0, p2: int = 0, data: bytes = b""
) -> bytes:
    """One message, as clients make them."""
    data = data.ljust((len(data) + 7) // 8 * 8, b"\0")
    return HEADER.pack(command, len(data), kind, count, p1, p2) + data


def text(command: int, name: str, p1: int = 0, p2: int = 13) -> bytes:
    """A message that carries a name."""
    return message(command, p1=p1, p2=p2, data=name.encode("latin-1", "replace") + b"\0")


MONITOR = struct.pack(">fffHH", 0, 0, 0, 5, 0)
# What clients do. The server numbers channels from 0 on.
CONVERSATION = [
    message(VERSION, 0, 13),
    text(HOST_NAME, "host"),
    text(CLIENT_NAME, "user"),
    text(CREATE, P + "STATUS", 1),
    text(CREATE, P + "LOG", 2),
    text(CREATE, P + "START", 3),
    text(CREATE, P + "NONE", 4),
    message(READ_NOTIFY, 17, 0, 0, 1),
    message(EVENT_ADD, 17, 1, 0, 1, MONITOR),
    message(EVENT_ADD, 4, 0, 1, 2, MONITOR),
    message(READ_NOTIFY, 34, 1, 0, 2),
    message(WRITE_NOTIFY, 3, 1, 2, 3, b"\0\0"),
    message(WRITE, 0, 1, 2, 4, b"Done".ljust(40, b"\0")),
    message(EVENTS_OFF),
    message(EVENTS_ON),
    text(SEARCH, P + "STATUS", 7, 7),
    message(ECHO),
    message(EVENT_CANCEL, 17, 1, 0, 1),
    message(CLEAR, 0, 0, 1, 2),
    message(READ_NOTIFY, 0, 1, 0, 5),
]
# The same with an array of numbers as other types, where there is one.
WITH_ARRAY = [
    *CONVERSATION[:-4],
    text(CREATE, P + "ARRAY", 5),
    message(READ_NOTIFY, 0, 0, 3, 6),
    message(EVENT_ADD, 19, 0, 3, 7, MONITOR),
    message(READ, 5, 700, 3, 8),
    *CONVERSATION[-4:],
    message(CLEAR, 0, 0, 3, 5),
]


# --- the cases ---------------------------------------------------------------------------------


def noise(r: Random) -> list[bytes]:
    """Bytes."""
    return [r.randbytes(r.choice((1, 15, 16, 17, 40, 200, 5000)))]


def one_header(r: Random) -> list[bytes]:
    """After a good beginning, one message whose header says anything."""
    size = r.choice(SIZES)
    p1, p2 = (r.choice((0, 1, 2, 3, 99, 0xFFFFFFFF, r.getrandbits(32))) for _ in range(2))
    kind, count = (r.choice((0, 1, 3, 6, 17, 34, 38, 39, 0xFFFF, r.getrandbits(16))) for _ in "..")
    header = HEADER.pack(r.choice(COMMANDS), size, kind, count, p1, p2)
    payload = r.randbytes(r.choice((size, size, 0, size // 2)))
    return [*CONVERSATION[: r.randrange(len(CONVERSATION))], header + payload, message(ECHO)]


def extended(r: Random) -> list[bytes]:
    """An extended header, of the sizes that nobody has."""
    size, count = r.choice(HUGE), r.choice(HUGE)
    header = EXTENDED.pack(
        r.choice(COMMANDS),
        0xFFFF,
        r.choice((0, 4, 6, 31, 38)),
        0,
        r.randrange(4),
        r.randrange(4),
        size,
        count,
    )
    return [*CONVERSATION[:6], header + r.randbytes(min(size, r.choice((0, 16, 16400))))]


def mutated(r: Random) -> list[bytes]:
    """A good conversation with some bytes gone wrong."""
    data = bytearray(b"".join(r.choice((CONVERSATION, WITH_ARRAY))))
    for _ in range(r.choice((1, 1, 2, 5))):
        at, length = r.randrange(len(data)), r.choice((1, 2, 8, 16, 40))
        what = r.randrange(5)
        if what == 0:
            data[at] ^= 1 << r.randrange(8)
        elif what == 1:
            data[at] = r.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif what == 2:
            del data[at : at + length]
        elif what == 3:
            data[at:at] = r.randbytes(length)
        else:
            data[at:at] = data[at : at + length]
    return pieces(r, bytes(data))


def truncated(r: Random) -> list[bytes]:
    """A good conversation that ends anywhere."""
    data = b"".join(r.choice((CONVERSATION, WITH_ARRAY)))
    return pieces(r, data[: r.randrange(len(data))])


def disordered(r: Random) -> list[bytes]:
    """Good messages in any order, some of them twice, or never."""
    return [r.choice(CONVERSATION) for _ in range(r.randrange(1, 2 * STEPS))]


def made_up(r: Random) -> list[bytes]:
    """Messages that are well formed, of the wrong channels, types, counts and names."""
    few, kinds = range(5), (0, 1, 3, 4, 6, 14, 17, 18, 20, 31, 34, 35, 37, 38, 39)
    counts = (0, 1, 2, 16000, 16001, 0xFFFE)

    def step() -> bytes:
        a, b = r.choice(few), r.choice(few)
        match r.randrange(9):
            case 0 | 1:
                return text(CREATE, r.choice(NAMES), a)
            case 2:
                return message(READ_NOTIFY, r.choice(kinds), r.choice(counts), a, b)
            case 3:
                return message(EVENT_ADD, r.choice(kinds), r.choice(counts), a, b, MONITOR)
            case 4:
                return message(EVENT_CANCEL, r.choice(kinds), r.choice(counts), a, b)
            case 5:
                return message(CLEAR, 0, 0, a, b)
            case 6:
                data = r.randbytes(r.choice((0, 1, 2, 8, 40, 400)))
                kind, count = r.choice(kinds), r.choice(counts)
                return message(r.choice((WRITE, WRITE_NOTIFY)), kind, count, a, b, data)
            case 7:
                return text(r.choice((SEARCH, HOST_NAME, CLIENT_NAME)), r.choice(NAMES), a, b)
            case _:
                return message(r.choice((EVENTS_ON, EVENTS_OFF, ECHO, VERSION)), a, 13)

    good = r.choice((0, 3, 6))
    return [*CONVERSATION[:good], *(step() for _ in range(r.randrange(1, STEPS)))]


def nearly_right(r: Random) -> list[bytes]:
    """Channels and monitors as they should be, and then requests of which one part may be wrong."""
    opened = [
        *CONVERSATION[:3],
        *(text(CREATE, P + name, at) for at, name in enumerate(("STATUS", "LOG", "START"))),
        *(message(EVENT_ADD, kind, 0, at, at, MONITOR) for at, kind in enumerate((17, 4, 3))),
    ]

    def step() -> bytes:
        at = r.randrange(3)
        wrong = at if r.random() < 0.7 else r.randrange(4)
        kind = (17, 4, 3)[at]
        return r.choice(
            (
                message(CLEAR, 0, 0, at, wrong),
                message(EVENT_CANCEL, kind, 0, at, wrong),
                message(READ_NOTIFY, kind, 0, at, wrong),
                message(WRITE_NOTIFY, 3, 1, wrong, at, b"\0\1"),
                message(EVENT_ADD, kind, 0, wrong, r.randrange(6), MONITOR),
                text(CREATE, P + "LOG:LINE", wrong),
                message(ECHO),
            )
        )

    return [b"".join(opened), *(step() for _ in range(r.randrange(1, STEPS)))]


def pieces(r: Random, data: bytes) -> list[bytes]:
    """The same bytes, cut anywhere."""
    cuts = sorted(r.randrange(len(data) + 1) for _ in range(r.randrange(4)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


STREAMS: Sequence[Callable[[Random], list[bytes]]] = (
    noise,
    one_header,
    extended,
    mutated,
    truncated,
    disordered,
    made_up,
    nearly_right,
    nearly_right,
)


class Cases(Protocol):
    """What makes cases: this module, or `mutations.Mutations`."""

    def stream(self, r: Random) -> list[bytes]:
        """What a client sends over TCP, as it arrives."""
        ...

    def datagram(self, r: Random) -> bytes:
        """What comes by UDP."""
        ...


def dice(seed: int, number: int) -> Random:
    """What a case is made with."""
    return Random(f"{seed}/{number}")  # noqa: S311 - not for secrets


def stream(r: Random) -> list[bytes]:
    """What a client sends over TCP, as it arrives."""
    return r.choice(STREAMS)(r)


def datagram(r: Random) -> bytes:
    """What comes by UDP."""
    data = b"".join(
        text(SEARCH, r.choice(NAMES[:20]), r.getrandbits(32)) for _ in range(r.randrange(5))
    )
    match r.randrange(4):
        case 0:
            return r.randbytes(r.choice((0, 1, 15, 16, 17, 1000)))
        case 1:
            return data[: r.randrange(len(data) + 1)]
        case 2 if data:
            changed = bytearray(data)
            changed[r.randrange(len(data))] = r.randrange(256)
            return bytes(changed)
        case _:
            header = HEADER.pack(r.choice(COMMANDS), r.choice(SIZES), 5, 13, *r.choices(HUGE, k=2))
            return message(VERSION, 0, 13) + data + header + r.randbytes(r.choice(SIZES[:8]))
