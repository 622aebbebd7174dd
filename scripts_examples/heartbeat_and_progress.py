"""A measurement that tells its operators how far it is, and the IOC that it is alive.

With `heartbeat_timeout = 60`, STATUS is in MAJOR alarm when a point takes longer than 60 s. With
`restart_when_hung = true` the IOC also restarts the script. How many points there are and how long
each point takes: `env = { POINTS = "20", SECONDS = "5" }`.
"""

import os
import time

import bgrscrpt
from server_common.helpers import register_ioc_start

POINTS = int(os.environ.get("POINTS", "100"))
SECONDS = float(os.environ.get("SECONDS", "1"))


def measure(point):
    """Put your measurement here."""
    time.sleep(SECONDS)
    return point**2


register_ioc_start(os.environ["BGRSCRPT_NAME"])

for point in range(1, POINTS + 1):
    bgrscrpt.message(f"point {point} of {POINTS}")
    print(f"{time.strftime('%H:%M:%S')} point {point}: {measure(point)}")
    bgrscrpt.alive()
    bgrscrpt.progress(100 * point / POINTS)

bgrscrpt.message(f"measured {POINTS} points")
