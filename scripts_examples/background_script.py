"""A small background script that registers, prints, and tells the IOC what it does.

Scripts for ISIS begin like this script. The IOC provides `server_common` where there is none.
The module `bgrscrpt` is part of the IOC; its calls do nothing when the script is run by hand.
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
