"""One script for two instances: the name of the instance decides what the script does.

The IOC puts the name of the instance into BGRSCRPT_NAME. Each instance runs in an interpreter of
its own, and can be stopped and restarted while the other goes on.
"""

import os
import sys
import time

import bgrscrpt
import epics
from server_common.helpers import register_ioc_start

NAME = os.environ["BGRSCRPT_NAME"]
WATCHED = {
    "BGRSCRPT_01": ("Temp_Sample", 300.0),
    "BGRSCRPT_02": ("Temp_SP", 310.0),
}
if NAME not in WATCHED:
    sys.exit(f"{NAME} has no block to watch: add it to WATCHED in {__file__}")
BLOCK, LIMIT = WATCHED[NAME]


def verdict(pv):
    """Return how warm the block is, or why that is not known."""
    try:
        value = pv.get(timeout=2) if pv.wait_for_connection(timeout=5) else None
    except (epics.ca.ChannelAccessException, epics.ca.ChannelAccessGetFailure):
        value = None  # it went away during the call
    if value is None:
        return f"{BLOCK}: not connected"
    if not isinstance(value, (int, float)):
        return f"{BLOCK} is no number: {str(value)[:100]!r}"
    return f"{BLOCK} is {value:.1f}, " + ("too hot" if value > LIMIT else "fine")


register_ioc_start(NAME)
# Without a monitor: when an IOC restarts with a PV of another type, pyepics keeps the old value.
pv = epics.PV(os.environ["MYPVPREFIX"] + "CS:SB:" + BLOCK, auto_monitor=False)

while True:
    bgrscrpt.message(verdict(pv))
    bgrscrpt.alive()
    time.sleep(1)
