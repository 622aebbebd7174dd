"""Lines for a log server: nothing waits for it, and it gets all that there was room for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from benchmarks.rig.ca import DEADLINE, free_port
from bgrscrpt_ioc.access.putlog import PUTS, PutLog
from bgrscrpt_ioc.output import logserver
from bgrscrpt_ioc.output.logserver import KEPT, LogServer


class Peer:
    """A log server that notes each byte."""

    def __init__(self) -> None:
        self.got = b""
        self.writer: asyncio.StreamWriter | None = None
        self._news = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read all that comes."""
        self.writer = writer
        writer.write_eof()  # as iocLogServer does
        while data := await reader.read(1 << 16):
            self.got += data
            self._news.set()

    async def until(self, end: bytes) -> None:
        """Wait until what came ends so."""
        async with asyncio.timeout(DEADLINE):
            while not self.got.endswith(end):
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def serving(peer: Peer, port: int) -> AsyncIterator[None]:
    """Have it listen at a port."""
    server = await asyncio.start_server(peer.connected, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        if peer.writer is not None:
            peer.writer.close()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logserver, "AGAIN", 0.05)


async def test_a_server_that_comes_and_goes(caplog: pytest.LogCaptureFixture) -> None:
    """It gets the newest lines that it missed, and the log says how many were lost; in order."""
    port = free_port()
    server = LogServer(f"localhost:{port}", 1, "log server")
    for number in range(KEPT + 5):
        server.send(b"%d\n" % number)
    first, second = Peer(), Peer()
    async with serving(first, port):
        await first.until(b"\n%d\n" % (KEPT + 4))
    assert first.got == b"".join(b"%d\n" % number for number in range(5, KEPT + 5))
    assert "5 lines for the log server were lost" in caplog.text
    server.send(b"while it is away\n")
    async with asyncio.timeout(DEADLINE):
        while server._newest != b"while it is away\n":  # nothing has told that it is away
            await asyncio.sleep(0.01)
    server.send(b"and more\n")
    async with serving(second, port):
        await second.until(b"and more\n")
        server.send(b"the last\n")
        await server.close()
        await second.until(b"the last\n")
    assert second.got == b"while it is away\nand more\nthe last\n"


async def test_a_server_that_does_not_read() -> None:
    """Nobody waits for it, and no more than the newest lines are kept."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = LogServer("127.0.0.1", silent.getsockname()[1], "log server")
        for _ in range(20):
            for _ in range(KEPT):
                server.send(b"x" * 1000 + b"\n")
            await asyncio.sleep(0)
        assert len(server._waiting) <= KEPT
        await server.close()


async def test_a_host_that_puts_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """It has so many lines a minute; another host has its own, and what is left out is counted."""
    caplog.set_level("INFO")
    putlog = PutLog({})
    for number in range(PUTS + 100):
        putlog.done("u@h", "pv", number, 0, "192.0.2.1")
    putlog.done("u@h", "pv", 1, 0, "192.0.2.2")
    putlog._end_minute()
    assert caplog.text.count(" pv new=") == PUTS + 1
    assert caplog.text.count("192.0.2.1: more than") == 1
    assert "192.0.2.1: 100 puts of a minute were not logged" in caplog.text
    await putlog.close()
