"""Publishes the average of a PV over the last minute to another PV.

Samples at a fixed rate, since a PV that stands still sends nothing. What was read before a
disconnection or an INVALID value is forgotten, so that no average spans a gap. Settings in `env`:
SOURCE, TARGET (PVs), WINDOW (60 s), SAMPLES (in a window, 60).
"""

import os
import time
from collections import deque
from statistics import fmean

import bgrscrpt
import epics
from server_common.helpers import register_ioc_start

PREFIX = os.environ["MYPVPREFIX"]
SOURCE = os.environ.get("SOURCE", PREFIX + "CS:SB:Temp_Sample")
TARGET = os.environ.get("TARGET", PREFIX + "CS:SB:Temp_Average")
WINDOW = float(os.environ.get("WINDOW", "60"))
SAMPLES = int(os.environ.get("SAMPLES", "60"))


def is_good(pv):
    """Tell whether the PV has a value to be believed."""
    return pv.connected and pv.severity != epics.INVALID_ALARM and pv.get() is not None


def step(source, target, samples):
    """Take one sample and publish the average; tell what there is to say."""
    if not is_good(source):
        samples.clear()
        return f"{SOURCE}: disconnected or INVALID"
    samples.append(source.get())
    if len(samples) < SAMPLES:
        return f"averaging {SOURCE}: the window fills"
    if not target.connected:
        return f"{TARGET}: disconnected"
    target.put(fmean(samples))
    return f"averaging {SOURCE}"


register_ioc_start(os.environ["BGRSCRPT_NAME"])
source, target = epics.PV(SOURCE), epics.PV(TARGET)
samples, said = deque(maxlen=SAMPLES), None

while True:
    state = step(source, target, samples)
    if state != said:  # one line for each thing that happens, not for each sample
        said = state
        print(state)
        bgrscrpt.message(state)
    bgrscrpt.alive()
    time.sleep(WINDOW / SAMPLES)
