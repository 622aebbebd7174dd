"""A server's process as an outsider sees it, and what comes over the network to hurt it."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psutil

from benchmarks.rig import fuzz
from benchmarks.rig.ca import DEADLINE

STRUCTURES = 20_000_000  # bytes that allocators may keep after an attack


class Watched:
    """What a process has open and takes up."""

    def __init__(self, pid: int) -> None:
        """Take it as it is for the measure."""
        self._process = psutil.Process(pid)
        self._descriptors, self._memory = self.descriptors(), self.memory()

    def descriptors(self) -> int:
        return self._process.num_fds()

    def memory(self) -> int:
        """Bytes of RSS."""
        return self._process.memory_info().rss

    def processor(self) -> float:
        """Seconds of CPU."""
        times = self._process.cpu_times()
        return times.user + times.system

    def grown(self) -> int:
        """Bytes of RSS more than in the beginning."""
        return self.memory() - self._memory

    def as_before(self) -> bool:
        """Whether no descriptor is left of what was done to it."""
        return self.descriptors() <= self._descriptors


def connected(port: int) -> socket.socket:
    """A connection that says nothing."""
    return socket.create_connection(("127.0.0.1", port), DEADLINE)


@contextmanager
def idle(port: int, number: int) -> Iterator[list[socket.socket]]:
    """So many connections that say nothing."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(connected(port))) for _ in range(number)]


def open_ones(sockets: list[socket.socket]) -> int:
    """How many of them the server has not ended."""
    ended = 0
    for each in sockets:
        readable, _, _ = select.select([each], [], [], 0)
        try:
            ended += bool(readable) and each.recv(1) == b""
        except ConnectionError:
            ended += 1
    return len(sockets) - ended


def fuzz_over_sockets(port: int, seed: int, numbers: range, cases: fuzz.Cases = fuzz) -> None:
    """Cases of a fuzzer as a client has them: some read what comes, some slam the door."""
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as udp:
        for number in numbers:
            r = fuzz.dice(seed, number)
            if number % 5 == 0:
                udp.sendto(cases.datagram(r), ("127.0.0.1", port))
                continue
            with closing(connected(port)) as tcp:
                try:
                    for data in cases.stream(r):
                        tcp.sendall(data)
                    if r.random() < 0.5:
                        tcp.shutdown(socket.SHUT_WR)
                        while tcp.recv(1 << 16):
                            pass
                except (ConnectionError, OSError):  # the server has had enough
                    pass


def scan(port: int, number: int) -> None:
    """Connect and go, one way and the other."""
    for at in range(number):
        with closing(connected(port)) as tcp:
            if at % 2:
                linger = b"\1\0\0\0\0\0\0\0"  # go by a reset
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


SEARCHES = """
import socket, sys, time
port, rate, seconds = map(int, sys.argv[1:4])
data = bytes.fromhex(sys.argv[4])
udp = socket.socket(type=socket.SOCK_DGRAM)
began, sent = time.monotonic(), 0
while (passed := time.monotonic() - began) < seconds:
    while sent < rate * passed:
        udp.sendto(data, ("127.0.0.1", port))
        sent += 1
    time.sleep(0.001)
print(sent)
"""


@contextmanager
def searches(port: int, name: str, rate: int, seconds: int) -> Iterator[Callable[[], int]]:
    """A process that searches for a PV so often a second; gives the number, when it is over."""
    data = fuzz.message(fuzz.VERSION, 0, 13) + fuzz.text(fuzz.SEARCH, name, 1, 1)
    arguments = [str(port), str(rate), str(seconds), data.hex()]
    with subprocess.Popen(
        [sys.executable, "-c", SEARCHES, *arguments], stdout=subprocess.PIPE
    ) as process:
        try:
            yield lambda: int(process.communicate(timeout=DEADLINE + seconds)[0])
        finally:
            process.kill()
