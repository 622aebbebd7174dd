"""Publishes the average of a PV over the last minute, as a PV of the script's own: `AVERAGE`.

The script samples at a fixed rate, because a PV that does not change sends nothing. A disconnection
or an INVALID value empties the window, so that no average spans a gap: `AVERAGE` is INVALID then.
Operators may change the PV `WINDOW`, which survives restarts. Settings in `env`: SOURCE (a PV),
WINDOW (the first value, 60 s), SAMPLES (in a window, 60).
"""

import os
import time
from collections import deque
from statistics import fmean

import bgrscrpt
import epics
from server_common.helpers import register_ioc_start

SOURCE = os.environ.get("SOURCE", os.environ["MYPVPREFIX"] + "CS:SB:Temp_Sample")
SAMPLES = int(os.environ.get("SAMPLES", "60"))

# What pyepics raises when a PV goes away during a call.
LOST = (epics.ca.ChannelAccessException, epics.ca.ChannelAccessGetFailure)

samples, said = deque(maxlen=SAMPLES), None
average = bgrscrpt.pv(
    "AVERAGE", float("nan"), description="Average of " + SOURCE[-28:], precision=2, archive=True
)
window = bgrscrpt.pv(
    "WINDOW",
    float(os.environ.get("WINDOW", "60")),
    description="Length of the window of AVERAGE",
    unit="s",
    low=0.1,
    high=3600,
    writable=True,
    on_put=lambda _value: samples.clear(),
    keep=True,
)


def step(source):
    """Take one sample, publish the average, and return what to say about it."""
    try:
        got = source.get_with_metadata(use_monitor=False, timeout=2) if source.connected else None
    except LOST:
        got = None
    problem = None
    if not got or got["value"] is None or got["severity"] == epics.INVALID_ALARM:
        problem = f"{SOURCE}: disconnected or INVALID"
    else:
        try:
            samples.append(float(got["value"]))
        except (TypeError, ValueError):
            problem = f"{SOURCE} is no number: {str(got['value'])[:100]!r}"
    if problem:
        samples.clear()
        average.set(average.value, severity="INVALID")
        return problem
    if len(samples) < SAMPLES:
        return f"averaging {SOURCE}: the window fills"
    average.set(fmean(samples))
    return f"averaging {SOURCE}"


register_ioc_start(os.environ["BGRSCRPT_NAME"])
# Without a monitor: when an IOC restarts with a PV of another type, pyepics keeps the old value.
source = epics.PV(SOURCE, form="time", auto_monitor=False)

while True:
    state = step(source)
    if state != said:  # print events, not samples
        said = state
        print(state)
        bgrscrpt.message(state)
    bgrscrpt.alive()
    time.sleep(window.value / SAMPLES)
