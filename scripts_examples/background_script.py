"""The smallest background script with everything: it registers, prints, and tells how it is.

Scripts for ISIS begin like this one; the import works on a machine without EPICS too, because the
IOC provides it. `bgrscrpt` is the IOC's own, optional, and does nothing when run by hand.
"""

import os
import sys
import time

sys.path.insert(
    0, os.path.abspath(os.path.join(os.environ["KIT_ROOT"], "ISIS", "inst_servers", "master"))
)

import bgrscrpt
from server_common.helpers import register_ioc_start

register_ioc_start("BGRSCRPT_01")
print("IOC started")

while True:
    for step in range(10):
        bgrscrpt.alive()
        bgrscrpt.message(f"step {step + 1} of 10")
        bgrscrpt.progress(10 * (step + 1))
        print(time.strftime("%H:%M:%S"), "step", step + 1)
        time.sleep(2)
