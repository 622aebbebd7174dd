"""Who has put what: a line in caPutLog's form, to the IOC's log and to a log server.

Nothing waits for the server: what it does not take is lost, and the log says how many lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque

PORT = 7011  # of caPutLog
KEPT = 1000  # lines while the server is away
AGAIN = 10.0  # s between two tries to reach it
PATIENCE = 5.0  # s for it to take what it is sent

log = logging.getLogger("bgrscrpt_ioc.ca.putlog")


def line(user: str, host: str, pv: str, new: str, old: str, *, refused: bool = False) -> str:
    """One put: `24-Nov-26 12:00:00 host user pv new=Busy old=Done`, and ` refused` if it was."""
    stamp = time.strftime("%d-%b-%y %H:%M:%S")
    return f"{stamp} {host} {user} {pv} new={new} old={old}" + (" refused" if refused else "")


class PutLog:
    """The log of one server. `address` is `host` or `host:port` of a log server, or empty."""

    def __init__(self, address: str = "") -> None:
        host, _, port = address.partition(":")
        self._host = host
        self._port = int(port) if port.isdecimal() else PORT
        self._waiting: deque[str] = deque(maxlen=KEPT)
        self._lost = 0
        self._more = asyncio.Event()
        self._sending = asyncio.get_running_loop().create_task(self._send()) if host else None

    def write(
        self, user: str, host: str, pv: str, new: str, old: str, *, refused: bool = False
    ) -> None:
        """Log a put."""
        text = line(user, host, pv, new, old, refused=refused)
        log.info("%s", text)
        if self._sending is not None:
            self._lost += len(self._waiting) == KEPT
            self._waiting.append(text)
            self._more.set()

    async def close(self) -> None:
        """Send no more."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self) -> None:
        complained = False
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    _, writer = await asyncio.open_connection(self._host, self._port)
                with contextlib.closing(writer):
                    complained = False
                    await self._send_to(writer)
            except (OSError, TimeoutError) as error:
                if not complained:
                    log.warning("no put log at %s:%d: %s", self._host, self._port, error)
                complained = True
            await asyncio.sleep(AGAIN)

    async def _send_to(self, writer: asyncio.StreamWriter) -> None:
        while True:
            while self._waiting:
                if self._lost:
                    log.warning("%d lines of the put log were lost", self._lost)
                    self._lost = 0
                writer.write(self._waiting[0].encode() + b"\n")
                async with asyncio.timeout(PATIENCE):
                    await writer.drain()
                self._waiting.popleft()
            self._more.clear()
            await self._more.wait()
