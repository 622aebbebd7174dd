"""What real clients said, with something gone wrong in it: each case from its seed and number.

Knows the protocol, and nothing of who is to stand it. recording.py makes the sessions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from benchmarks.rig import fuzz
from benchmarks.rig.fuzz import EXTENDED, HEADER, HUGE
from benchmarks.rig.recording import FILE, Session, load

Messages = list[bytes]
FIELDS = {"command": 0, "size": 2, "kind": 4, "count": 6, "one": 8, "two": 12}  # of a header
NUMBERS = [0, 1, 2, 3, 6, 14, 17, 34, 35, 38, 39, 99, 0x7F, 0xFF, *HUGE]
MOST_MUTATIONS = 4  # of one session
MOST_MESSAGES = 60  # of one case: whole sessions of tests have thousands


def messages(data: bytes) -> Messages:
    """The messages that a client has sent; the last may be cut short."""
    found, at = [], 0
    while at < len(data):
        size = 0 if len(data) - at < HEADER.size else HEADER.unpack_from(data, at)[1]
        end = at + HEADER.size + size
        if size == 0xFFFF and len(data) - at >= EXTENDED.size:
            end = at + EXTENDED.size + EXTENDED.unpack_from(data, at)[6]
        found.append(data[at:end])
        at = end
    return found


def _written(message: bytes, at: int, form: str, value: int) -> bytes:
    """The message with a number of its header changed; what is no whole header stays as it is."""
    changed = bytearray(message)
    size = struct.calcsize(form)
    if at + size <= len(changed):
        struct.pack_into(form, changed, at, value % (1 << 8 * size))
    return bytes(changed)


def _form(field: str) -> str:
    return ">I" if field in ("one", "two") else ">H"


# --- mutations: each changes one thing of a session, or a little --------------------------------


def bits(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Flip some bits."""
    at = r.randrange(len(said))
    changed = bytearray(said[at])
    for _ in range(r.choice((1, 1, 2, 8))):
        changed[r.randrange(len(changed))] ^= 1 << r.randrange(8)
    said[at] = bytes(changed)


def number(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Write another command, length, type, count or identity."""
    at, field = r.randrange(len(said)), r.choice([*FIELDS])
    value = r.choice(NUMBERS) if r.random() < 0.8 else r.getrandbits(32)
    said[at] = _written(said[at], FIELDS[field], _form(field), value)


def near(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Write a number that is one more or less: a neighbour's channel, type or monitor."""
    at, field = r.randrange(len(said)), r.choice([*FIELDS])
    start, form = FIELDS[field], _form(field)
    if len(said[at]) >= HEADER.size:
        (value,) = struct.unpack_from(form, said[at], start)
        said[at] = _written(said[at], start, form, value + r.choice((-2, -1, 1, 2)))


def exchanged(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Exchange the identities of a message, or those of two messages."""
    one, other = (r.randrange(len(said)) for _ in range(2))
    if min(len(said[one]), len(said[other])) < HEADER.size:
        return
    first, second = FIELDS["one"], r.choice((FIELDS["one"], FIELDS["two"]))
    (a,) = struct.unpack_from(">I", said[one], first)
    (b,) = struct.unpack_from(">I", said[other], second)
    said[one] = _written(said[one], first, ">I", b)
    said[other] = _written(said[other], second, ">I", a)


def cut(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """End in the middle of a message, or leave out the end of one and go on."""
    at = r.randrange(len(said))
    said[at] = said[at][: r.randrange(len(said[at]))]
    if r.random() < 0.5:
        del said[at + 1 :]


def longer(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Put bytes behind a message, which its header may know of."""
    at = r.randrange(len(said))
    more = r.randbytes(8 * r.randrange(1, 6))
    size = len(said[at]) - HEADER.size + len(more)
    said[at] += more
    if r.random() < 0.7:
        said[at] = _written(said[at], FIELDS["size"], ">H", size)


def extended(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Write the header as that of a long message, which says how long it is, or something else."""
    at = r.randrange(len(said))
    if len(said[at]) < HEADER.size:
        return
    command, size, kind, count, one, two = HEADER.unpack_from(said[at])
    if r.random() < 0.5:
        size, count = r.choice((size, *HUGE)), r.choice((count, *HUGE))
    head = EXTENDED.pack(command, 0xFFFF, kind, 0, one, two, size, count)
    said[at] = head + said[at][HEADER.size :]


def payload(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Fill a payload with something else: a name without its NUL, a mask of all, any value."""
    at = r.randrange(len(said))
    size = len(said[at]) - HEADER.size
    if size > 0:
        fill = r.choice((b"\0" * size, b"\xff" * size, b"A" * size, r.randbytes(size)))
        said[at] = said[at][: HEADER.size] + fill


def renamed(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Ask for another name: one that is nobody's, or very long."""
    named = [
        at
        for at, each in enumerate(said)
        if each[:2] in (b"\0\x12", b"\0\x06", b"\0\x14", b"\0\x15")
    ]
    if named:
        at = r.choice(named)
        name = r.choice(fuzz.NAMES).encode("latin-1", "replace")[: r.choice((40, 600, 20_000))]
        name = name.ljust((len(name) + 8) // 8 * 8, b"\0")
        said[at] = _written(said[at], FIELDS["size"], ">H", len(name))[: HEADER.size] + name


def repeated(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Say a message again, some times."""
    at = r.randrange(len(said))
    said[at:at] = [said[at]] * r.choice((1, 1, 2, 5, 30))


def again(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Say all again, from somewhere on."""
    said += said[r.randrange(len(said)) :]


def reordered(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Say some messages in another order."""
    at = r.randrange(len(said))
    some = said[at : at + r.choice((2, 3, 8, len(said)))]
    r.shuffle(some)
    said[at : at + len(some)] = some


def dropped(r: Random, said: Messages, _all: Sequence[Messages]) -> None:
    """Leave some messages out."""
    at = r.randrange(len(said))
    del said[at : at + r.choice((1, 1, 2, 4))]


def spliced(r: Random, said: Messages, every: Sequence[Messages]) -> None:
    """Go on as another client did."""
    other = r.choice(every)
    at = r.randrange(len(said) + 1)
    said[at:] = other[r.randrange(len(other)) :]


def woven(r: Random, said: Messages, every: Sequence[Messages]) -> None:
    """Say in between what another client said."""
    other = r.choice(every)
    for each in other[r.randrange(len(other)) :][: r.choice((1, 3, 10))]:
        said.insert(r.randrange(len(said) + 1), each)


Mutation = Callable[[Random, Messages, Sequence[Messages]], None]
MUTATIONS: Sequence[Mutation] = (
    bits, bits, number, number, near, near, exchanged, exchanged, cut, longer, extended, payload,
    renamed, repeated, again, reordered, dropped, spliced, woven,
)  # fmt: skip


class Mutations:
    """Cases made from recorded sessions."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        """Make them of what was said in these sessions."""
        self._streams = [
            found for each in sessions for data in each.connections if (found := messages(data))
        ]
        self._datagrams = [
            found for each in sessions for data in each.datagrams if (found := messages(data))
        ]

    @classmethod
    def kept(cls, path: Path = FILE) -> Mutations:
        """Make them of the sessions in a file."""
        return cls(load(path))

    def stream(self, r: Random) -> list[bytes]:
        """What a client sends over TCP, as it arrives: message by message, or cut anywhere."""
        said = self._mutated(r, self._streams)
        if r.random() < 0.5:
            return said
        return fuzz.pieces(r, b"".join(said))

    def datagram(self, r: Random) -> bytes:
        """What comes by UDP."""
        return b"".join(self._mutated(r, self._datagrams))[:65_000]

    def _mutated(self, r: Random, sessions: Sequence[Messages]) -> Messages:
        said = [*r.choice(sessions)]
        if len(said) > MOST_MESSAGES:
            at = r.randrange(len(said) - MOST_MESSAGES // 2)
            said = said[: MOST_MESSAGES // 4] + said[at : at + MOST_MESSAGES // 2]
        for _ in range(r.randint(1, MOST_MUTATIONS)):
            if said := [each for each in said if each]:
                r.choice(MUTATIONS)(r, said, sessions)
        return said[: 2 * MOST_MESSAGES]
