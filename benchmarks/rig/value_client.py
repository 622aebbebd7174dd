"""What a libca client sees of values that are times: `value_client.py MODE SECONDS`; JSON lines."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import epics
from epics import ca, dbr

from benchmarks.rig.value_script import BASE, names


def main() -> None:
    mode, seconds = sys.argv[1], float(sys.argv[2])
    ages: list[float] = []

    def changed(value: Any, **_: Any) -> None:
        ages.append(time.monotonic() - (float(value[0]) if mode == "array" else value))

    pvs = [epics.PV(f"{BASE}:{name}", auto_monitor=dbr.DBE_VALUE) for name in names(mode)]
    for pv in pvs:
        if not pv.wait_for_connection(30):
            raise TimeoutError(pv.pvname)
        pv.add_callback(changed)
    begin = time.monotonic()
    time.sleep(1)
    ages.clear()
    begin = time.monotonic()
    print(json.dumps({"began": True}), flush=True)
    if mode == "put":
        target = epics.PV(f"{BASE}:W")
        target.wait_for_connection(30)
        while time.monotonic() - begin < seconds:
            at = time.monotonic()
            target.put(at % 10, wait=True)
            ages.append(time.monotonic() - at)
    else:
        time.sleep(seconds)
    took, found = time.monotonic() - begin, sorted(ages)
    for pv in pvs:
        pv.clear_callbacks()
    share = [found[int(part * (len(found) - 1))] for part in (0.5, 0.99)] if found else [0, 0]
    print(json.dumps({"rate": len(found) / took, "p50": share[0], "p99": share[1]}), flush=True)
    ca.finalize_libca()


if __name__ == "__main__":
    main()
