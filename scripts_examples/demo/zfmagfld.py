"""ZFMAGFLD_01, an IOC that fails: a magnetometer whose data stop, until the IOC is restarted.

To show the watchdog something to restart; it measures nothing. Run it under procServ:
    procServ --holdoff 1 20011 /path/to/python zfmagfld.py --prefix TE:DEMO: --port 5066
"""

from __future__ import annotations

import argparse
import asyncio
import os

from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.kinds import live, switch
from bgrscrpt_ioc.records.table import Record

OK, NO_DATA, INVALID_DATA = range(3)
STATES = ("OK", "No new magnetometer data", "Magnetometer data invalid")
STATUS = Record("STATUS", "mbbi", "State of the magnetometer", choices=STATES)
FAIL = Record("SIM:FAIL", "bo", "Break it", choices=STATES, writable=True)


class Magnetometer:
    """Its PVs; once it has failed, nothing but a restart of the IOC mends it."""

    def __init__(self, prefix: str) -> None:
        self._status = live(f"{prefix}ZFMAGFLD_01:STATUS", STATUS)
        self._fail = switch(f"{prefix}ZFMAGFLD_01:SIM:FAIL", FAIL, self._asked)
        self.block = f"{prefix}CS:SB:field_ZF_status"
        # An instrument's block gateway serves a block under its name as written and in capitals.
        names = (self._status.name, self.block, f"{prefix}CS:SB:FIELD_ZF_STATUS")
        self.pvdb = {self._fail.name: self._fail, **dict.fromkeys(names, self._status)}

    async def _asked(self, state: int, _by: str) -> None:
        if state != OK:
            self.fail(state)

    def fail(self, state: int) -> None:
        """Go into an error state."""
        print("magnetometer:", STATES[state], flush=True)
        self._fail.post(state)
        self._status.post(state, Severity.INVALID)


async def serve(prefix: str, port: int, fail_after: float | None) -> None:
    """Serve until killed: that is how procServ restarts an IOC."""
    magnetometer = Magnetometer(prefix)
    async with CaServer(magnetometer.pvdb, ["127.0.0.1"], port):
        print(f"ZFMAGFLD_01: serving {magnetometer.block} on 127.0.0.1:{port}", flush=True)
        if fail_after is not None:
            asyncio.get_running_loop().call_later(fail_after, magnetometer.fail, NO_DATA)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="An IOC whose block fails.")
    parser.add_argument("--prefix", default=os.environ.get("MYPVPREFIX", ""))
    parser.add_argument("--port", type=int, default=5066)
    parser.add_argument("--fail-after", type=float, metavar="S", help="default: when told to")
    options = parser.parse_args()
    asyncio.run(serve(options.prefix, options.port, options.fail_after))


if __name__ == "__main__":
    main()
