"""Our server with one number that clients write: what base's acceptance test needs to work on."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from unittest.mock import patch

from bgrscrpt_ioc.ca.kinds import NumberChannel
from bgrscrpt_ioc.ca.links import ClientLimits
from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.puts import Puts
from bgrscrpt_ioc.records.table import Record

NUMBER = "TE:NUMBER"
LIMITS = ClientLimits(subscriptions_of_record=4000)  # acctst wants 3,000, we allow a host 2,000


async def run(port: int) -> None:
    """Serve until the end of stdin."""
    record = live(NUMBER, Record(NUMBER, "ai", "A number that clients write", prec=3))

    async def put(value: float, _by: str) -> None:
        record.post(value)

    record.puts = Puts(record, put)
    async with CaServer({NUMBER: record}, ["127.0.0.1"], port, LIMITS) as server:
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        links = server._links
        left = len(links), links.channels.used, links.subscriptions.used, len(record.subscribers)
    print(json.dumps({"left": left}), flush=True)


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    written = property(lambda channel: channel.live.writable)
    with patch.object(NumberChannel, "writable", written):
        asyncio.run(run(int(sys.argv[1])))


if __name__ == "__main__":
    main()
