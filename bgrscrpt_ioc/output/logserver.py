"""Sends lines to a log server over TCP, as EPICS base's clients of iocLogServer do.

Nothing waits for the server: what it does not take is lost, and the log says how many lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque

from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.resolver import Resolver

KEPT = 1000  # lines while the server is away
AGAIN = 5.0  # s between two tries to reach it
PATIENCE = 5.0  # s for it to take what it is sent
LAST = 1.0  # s at the end of the IOC for the last lines

log = logging.getLogger("bgrscrpt_ioc.logserver")


class LogServer:
    """One log server.

    Args:
        address: `host` or `host:port`.
        port: that of an address without one.
        what: what the log calls it.
    """

    def __init__(self, address: str, port: int, what: str) -> None:
        self._host, _, own = address.partition(":")
        self._port = int(own) if own.isdecimal() else port
        self._what = what
        self._resolver = Resolver()
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        # The newest line that was sent. iocLogServer shuts down its side of each connection, so
        # only a later line that cannot be sent tells that a server has gone.
        self._newest: bytes | None = None
        self._lost, self._woken = 0, False
        self._loop = asyncio.get_running_loop()
        self._more, self._sent = asyncio.Event(), asyncio.Event()
        self._connected = False
        self._sending = self._loop.create_task(self._send())

    def send(self, line: bytes) -> None:
        """Send a line, which ends with a newline; from any thread. Never blocks, never raises."""
        with self._lock:
            if len(self._waiting) >= KEPT:
                self._waiting.popleft()
                self._lost += 1
            self._waiting.append(line)
            wakes, self._woken = not self._woken, True
        if wakes:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._woken = False
        self._sent.clear()
        self._more.set()

    async def close(self) -> None:
        """Send what waits if the server takes it soon, and no more."""
        await asyncio.sleep(0)  # for what was sent just now
        if self._connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST):
                    await self._sent.wait()
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> None:
        faults, complained = Faults(self._what), False
        while True:
            with faults:
                complained = await self._send_once(complained)
            await asyncio.sleep(AGAIN)

    async def _send_once(self, complained: bool) -> bool:
        """Send until the server goes away; return whether the log has said that it is away."""
        try:
            async with asyncio.timeout(PATIENCE):
                address = await self._address()
                _, writer = await asyncio.open_connection(address, self._port)
            with contextlib.closing(writer):
                complained, self._connected = False, True
                await self._send_to(writer)
        except (OSError, TimeoutError) as error:
            if not complained:
                why = str(error) or "it does not answer in time"
                log.warning("no %s at %s:%d: %s", self._what, self._host, self._port, why)
            with self._lock:
                if self._newest is not None:
                    self._waiting.appendleft(self._newest)
                    self._newest = None
        finally:
            self._connected = False
        return True

    async def _address(self) -> str:
        """Return the server's address, as the system knows it now."""
        if addresses := (await self._resolver.addresses([self._host]))[self._host]:
            return addresses[0]
        raise OSError("no address of the host is known")

    async def _send_to(self, writer: asyncio.StreamWriter) -> None:
        while True:
            while self._waiting:
                line = self._waiting[0]
                writer.write(line)
                async with asyncio.timeout(PATIENCE):
                    await writer.drain()
                with self._lock:
                    if self._waiting and self._waiting[0] is line:
                        self._newest = self._waiting.popleft()
                    lost, self._lost = self._lost, 0
                if lost:
                    log.warning("%d lines for the %s were lost", lost, self._what)
            self._sent.set()
            self._more.clear()
            if not self._waiting:
                await self._more.wait()
