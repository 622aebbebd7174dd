"""Who has put what: to the IOC's log, and to log servers as caPutLog does.

The IOC is not to be filled with lines: a host has so many a minute, and of refused puts one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping

from bgrscrpt_ioc.access.complaints import Complaints
from bgrscrpt_ioc.access.putlines import Put
from bgrscrpt_ioc.output.logserver import LogServer

PORT = 7011  # of caPutLog
TEXT, JSON = "EPICS_CA_PUT_LOG_ADDR", "EPICS_CA_JSON_PUT_LOG_ADDR"  # of caPutLog too
PUTS = 600  # of one host that are logged in a minute; more are counted
MINUTE = 60.0  # s

log = logging.getLogger("bgrscrpt_ioc.access.putlog")


class PutLog:
    """The log of puts. Log servers are named by the variables of caPutLog, `HOST[:PORT] ...`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Connect to no server yet; the event loop does it in its time."""
        texts, jsons = (variables.get(name, "").split() for name in (TEXT, JSON))
        self._texts = [LogServer(each, PORT, "put log") for each in texts]
        self._jsons = [LogServer(each, PORT, "JSON put log") for each in jsons]
        self._refusals = Complaints()
        self._began = 0.0  # monotonic time of this minute
        self._puts: dict[str, int] = {}  # by address: in this minute

    def done(self, by: str, pv: str, new: object, old: object, address: str) -> None:
        """Log a put by `user@host` that is carried out, unless its address has put too often."""
        now = time.monotonic()
        if now - self._began >= MINUTE:
            self._end_minute()
            self._began = now
        count = self._puts[address] = self._puts.get(address, 0) + 1
        if count <= PUTS:
            self._write(Put(time.time(), by, pv, new, old))
        elif count == PUTS + 1:
            log.warning("%s: more than %d puts in a minute: more are not logged", address, PUTS)

    def _end_minute(self) -> None:
        for address, count in self._puts.items():
            if count > PUTS:
                log.warning("%s: %d puts of a minute were not logged", address, count - PUTS)
        self._puts.clear()

    def refused(self, by: str, pv: str, value: object, why: str, address: str) -> None:
        """Log a refused put by `user@host`: one line a minute for each address, with a count.

        Anybody may try.
        """
        line = self._refusals.due(address)
        if line is not None:
            self._write(Put(time.time(), by, pv, value, refused=why), line[1])

    def _write(self, put: Put, more: str = "") -> None:
        text = put.text() + more
        log.info("%s", text, extra={"put": put})
        for server in self._texts:
            server.send(f"{text}\n".encode())
        if self._jsons:
            line = json.dumps(put.json(), ensure_ascii=False, separators=(",", ":"))
            for server in self._jsons:
                server.send(f"{line}\n".encode())

    async def close(self) -> None:
        """Send no more."""
        for server in (*self._texts, *self._jsons):
            await server.close()
