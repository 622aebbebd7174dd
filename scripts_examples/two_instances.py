"""One script for two instances: what each of them does hangs on its name.

The IOC puts the name of the instance into BGRSCRPT_NAME. Each runs in an interpreter of its own,
and can be stopped and restarted without the other's noticing.
"""

import os
import time

import bgrscrpt
import epics
from server_common.helpers import register_ioc_start

NAME = os.environ["BGRSCRPT_NAME"]
BLOCK, LIMIT = {
    "BGRSCRPT_01": ("Temp_Sample", 300.0),
    "BGRSCRPT_02": ("Temp_SP", 310.0),
}[NAME]

register_ioc_start(NAME)
pv = epics.PV(os.environ["MYPVPREFIX"] + "CS:SB:" + BLOCK)

while True:
    if not pv.wait_for_connection(timeout=5):
        bgrscrpt.message(f"{BLOCK}: not connected")
    elif (value := pv.get()) is not None:
        verdict = "too hot" if value > LIMIT else "fine"
        bgrscrpt.message(f"{BLOCK} is {value:.1f}, {verdict}")
    bgrscrpt.alive()
    time.sleep(1)
