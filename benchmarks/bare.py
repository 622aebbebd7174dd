"""An IOC of caproto's own server with records like ours: `python -m benchmarks.bare COUNT`."""

from __future__ import annotations

import sys
from typing import Any

from caproto import ChannelType
from caproto.server import PVGroup, pvproperty, run

STATES = ["Stopped", "Starting", "Running", "Stopping", "Finished", "Backoff", "Failed"]


TEXT: Any = str
ENUM: Any = ChannelType.ENUM  # caproto takes it, its annotations do not say so


class Instance(PVGroup):
    """The few records that the figures are of."""

    status = pvproperty(
        name="STATUS", value=STATES[2], enum_strings=STATES, dtype=ENUM, record="mbbi"
    )
    check = pvproperty(
        name="CHECK",
        value="Done",
        enum_strings=["Done", "Busy"],
        dtype=ENUM,
        record="bo",
    )
    autorestart = pvproperty(
        name="AUTORESTART",
        value="On",
        enum_strings=["Off", "On"],
        dtype=ENUM,
        record="bo",
    )
    text = pvproperty(name="TRACEBACK", value="x" * 4000, max_length=4096, dtype=TEXT)


def main() -> None:
    """Serve COUNT instances, on what the environment says."""
    pvdb = {}
    for number in range(1, int(sys.argv[1]) + 1):
        pvdb.update(Instance(prefix=f"TE:BGRSCRPT_{number:02}:").pvdb)
    run(pvdb, interfaces=["127.0.0.1"], log_pv_names=False)


if __name__ == "__main__":
    main()
