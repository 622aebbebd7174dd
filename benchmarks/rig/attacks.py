"""What clients do to hurt an IOC, each without end: `python -m benchmarks.rig.attacks NAME PORT`.

They run only when nobody else wants a processor: on a network they would be on other hosts.
"""

from __future__ import annotations

import getpass
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from benchmarks.rig import fuzz
from benchmarks.rig.network import fuzz_over_sockets, idle, scan, searches

P = "TE:BGRSCRPT_01:"
STRANGER = "mallory"  # who may read only
STRING, TIME_STRING, ENUM, CHAR, LONG, PUT_ACKT, CLASS_NAME = 0, 14, 3, 4, 5, 35, 38
# What a script does that is attacked: a PV with a long array, which clients may put.
ARRAY = "import bgrscrpt\nbgrscrpt.pv('ARRAY', [0.5] * 100_000, writable=True)\n"
NAMES = [P + record for record in ("STATUS", "LOG", "LOG:LINE", "PID", "ERROR", "START", "SCRIPT")]
FIELDS = ("VAL", "DESC", "DESC$", "EGU", "PREC", "HIHI", "STAT", "SEVR", "NAME", "SCAN", "DISV")
CREATED = 32  # bytes of answers to a channel that is made: its rights, its number


def client(port: int, user: str = STRANGER, buffer: int = 0) -> socket.socket:
    """A connection as clients begin it; `buffer` is how many bytes it takes unread."""
    made = socket.socket()
    if buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    made.connect(("127.0.0.1", port))
    made.sendall(b"".join([fuzz.CONVERSATION[0], fuzz.text(20, user), fuzz.text(21, "host")]))
    return made


def opened(connection: socket.socket, names: Sequence[str], first: int = 0) -> None:
    """Make channels, which the server numbers from 0 on; wait until they are made, or refused."""
    for start in range(0, len(names), 500):
        part = names[start : start + 500]
        connection.sendall(
            b"".join(fuzz.text(fuzz.CREATE, name, first + start + n) for n, name in enumerate(part))
        )
        left = len(part) * 16  # what is refused has one answer of this size
        while left > 0:
            left -= len(connection.recv(1 << 16)) or left


def clients(
    port: int, number: int, names: Sequence[str], user: str = STRANGER
) -> list[socket.socket]:
    """Connections that have these channels each."""
    made = [client(port, user) for _ in range(number)]
    for each in made:
        opened(each, names)
    return made


def pump(connections: Sequence[socket.socket], data: bytes | Iterator[bytes]) -> None:
    """Send this by all connections, as fast as it is taken, and read what comes, until all end."""
    more = itertools.repeat(data) if isinstance(data, bytes) else data
    for each in connections:
        each.setblocking(False)
    unsent = dict.fromkeys(connections, b"")
    while unsent:
        moved = False
        for each in tuple(unsent):
            try:
                moved |= _moved(each, unsent, more)
            except ConnectionError:
                del unsent[each]
                each.close()
        if not moved:
            time.sleep(0.001)


def _moved(each: socket.socket, unsent: dict[socket.socket, bytes], more: Iterator[bytes]) -> bool:
    moved = False
    with suppress(BlockingIOError):
        while each.recv(1 << 18):
            moved = True
        raise ConnectionAbortedError
    with suppress(BlockingIOError):
        data = unsent[each] or next(more)
        unsent[each] = data
        unsent[each] = data[each.send(data) :]
        moved = bool(data)
    return moved


def user_names(port: int) -> None:
    """Say who one is again and again, with 5,000 channels whose rights depend on it."""
    names = (fuzz.text(20, f"u{number}") for number in range(500))
    pump(clients(port, 1, [P + "STATUS"] * 5000), b"".join(names))


def many_channels(port: int) -> None:
    """Have 10 times 5,000 channels, and ask for more without end."""
    more = (
        b"".join(fuzz.text(fuzz.CREATE, P + "PID", number) for number in range(first, first + 500))
        for first in itertools.count(5000, 500)
    )
    pump(clients(port, 10, [P + "STATUS"] * 5000), more)


def many_fields(port: int) -> None:
    """Have channels of all fields of records, clear them, and have them again."""
    names = [f"{name}.{field}" for name in NAMES for field in FIELDS]
    connection = client(port)
    for first in itertools.count(0, len(names)):
        opened(connection, names, first)
        numbers = range(first, first + len(names))
        connection.sendall(b"".join(fuzz.message(fuzz.CLEAR, 0, 0, n, n) for n in numbers))


def deep_names(port: int) -> None:
    """Search for names that are as deep as a datagram is long."""
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        while True:
            udp.sendto(
                fuzz.text(fuzz.SEARCH, P + "STATUS." + "$" * 1300, 1, 1), ("127.0.0.1", port)
            )
            time.sleep(0.001)


def refused_puts(port: int) -> None:
    """Put what one may not put."""
    pump(clients(port, 3, [P + "START"]), fuzz.message(fuzz.WRITE, ENUM, 1, 0, 1, b"\0\1") * 200)


def log_as_texts(port: int) -> None:
    """50 clients read a full LOG as texts, each character one."""
    pump(clients(port, 50, [P + "LOG"]), fuzz.message(fuzz.READ_NOTIFY, STRING, 0, 0, 1) * 10)


def log_as_it_is(port: int) -> None:
    """50 clients read a full LOG."""
    pump(clients(port, 50, [P + "LOG"]), fuzz.message(fuzz.READ_NOTIFY, CHAR, 0, 0, 1) * 10)


def long_arrays(port: int) -> None:
    """20 clients read a long array as types that it has not: as texts, as whole numbers."""
    texts = fuzz.message(fuzz.READ_NOTIFY, STRING, 20_000, 0, 1)
    whole = fuzz.message(fuzz.READ_NOTIFY, LONG, 0, 0, 1)
    pump(clients(port, 20, [P + "ARRAY"]), texts * 5 + whole * 5)


def long_puts(port: int) -> None:
    """20 clients put long arrays of texts, as people who may."""
    texts = b"".join((b"%d" % each).ljust(40, b"\0") for each in range(1000))
    made = clients(port, 20, [P + "ARRAY"], getpass.getuser())
    pump(made, fuzz.message(fuzz.WRITE_NOTIFY, STRING, 1000, 0, 1, texts))


def many_monitors(port: int) -> None:
    """50,000 monitors of a PV that changes ten times a second."""
    made = clients(port, 10, [P + "LOG:COUNT"])
    for each in made:
        watch = (fuzz.message(fuzz.EVENT_ADD, 6, 1, 0, n, fuzz.MONITOR) for n in range(5000))
        each.sendall(b"".join(watch))
    pump(made, b"")


def odd_requests(port: int) -> None:
    """Ask for what nobody asks for: alarm acknowledgements, too many elements, odd numbers."""
    kinds = (PUT_ACKT, PUT_ACKT + 1, CLASS_NAME, 99)
    odd = [fuzz.message(fuzz.READ_NOTIFY, kind, 1, 0, 1) for kind in kinds]
    odd += [fuzz.message(fuzz.READ_NOTIFY, CHAR, 60_000, 0, 1), fuzz.message(10), fuzz.message(3)]
    odd += [fuzz.message(fuzz.EVENT_ADD, 6, 1, 0, 1, fuzz.MONITOR) for _ in range(5)]
    odd += [fuzz.message(fuzz.EVENT_CANCEL, 6, 1, 0, 1), fuzz.message(fuzz.CLEAR, 0, 0, 7, 7)]
    pump(clients(port, 3, [P + "STATUS"]), b"".join(odd) * 20)


def slam(port: int) -> None:
    """Ask for much, read nothing of it, and go by a reset."""
    while True:
        made = clients(port, 20, [P + "LOG"])
        for each in made:
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.send(fuzz.message(fuzz.READ_NOTIFY, CHAR, 0, 0, 1) * 200)
        time.sleep(0.05)
        for each in made:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            each.close()


def not_reading(port: int) -> None:
    """20 clients with a monitor on LOG that read nothing of it."""
    made = [client(port, buffer=4096) for _ in range(20)]
    for each in made:
        opened(each, [P + "LOG"])
        each.sendall(fuzz.message(fuzz.EVENT_ADD, CHAR, 0, 0, 1, fuzz.MONITOR))
    time.sleep(1000)


def putting(port: int) -> None:
    """20 clients put START with callback, as people who may."""
    made = clients(port, 20, [P + "START"], getpass.getuser())
    pump(made, fuzz.message(fuzz.WRITE_NOTIFY, ENUM, 1, 0, 1, b"\0\1"))


def greedy(port: int) -> None:
    """5 clients ask for STATUS without end."""
    pump(clients(port, 5, [P + "STATUS"]), fuzz.message(fuzz.READ_NOTIFY, ENUM, 1, 0, 1) * 200)


def connecting(port: int) -> None:
    """Open connections without end, and keep them all."""
    made: list[socket.socket] = []
    while True:
        made.append(socket.create_connection(("127.0.0.1", port)))
        if len(made) > 900:  # what the server has ended goes
            made.pop(0).close()


def idle_500(port: int) -> None:
    """Connections that say nothing."""
    with idle(port, 500):
        time.sleep(1000)


def malformed(port: int) -> None:
    """Cases of the fuzzer, one connection each."""
    for at in itertools.count(0, 100):
        fuzz_over_sockets(port, fuzz.SEED, range(at, at + 100))


def scanning(port: int) -> None:
    """Connect and go without end."""
    while True:
        scan(port, 100)


def searching(name: str) -> Callable[[int], None]:
    """10,000 searches a second."""

    def search(port: int) -> None:
        with searches(port, name, 10_000, 1000) as sent:
            sent()

    return search


ATTACKS: dict[str, Callable[[int], None]] = {
    "user names, with 5,000 channels": user_names,
    "10 x 5,000 channels, and more": many_channels,
    "channels of all fields": many_fields,
    "names as deep as a datagram": deep_names,
    "puts that are refused": refused_puts,
    "LOG as texts, 50 readers": log_as_texts,
    "LOG, 50 readers": log_as_it_is,
    "long arrays as other types": long_arrays,
    "long arrays put as texts": long_puts,
    "50,000 monitors at 10 Hz": many_monitors,
    "odd requests": odd_requests,
    "much asked, and gone": slam,
    "20 clients not reading LOG": not_reading,
    "20 clients putting": putting,
    "5 clients asking": greedy,
    "connections without end": connecting,
    "500 idle connections": idle_500,
    "malformed messages": malformed,
    "port scan": scanning,
    "10,000 searches/s, of nobody's": searching("NOBODY:HAS:THIS"),
    "10,000 searches/s, of the IOC": searching(P + "STATUS"),
}


@contextmanager
def under(attack: str, port: int) -> Iterator[None]:
    """Have an attack go on meanwhile, by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.rig.attacks", attack, str(port)]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            yield
            assert process.poll() is None, f"{attack}: the attack has ended by itself"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has started too


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:  # who is thrown out comes again
        with suppress(OSError):
            ATTACKS[sys.argv[1]](int(sys.argv[2]))
