"""A program that publishes values, written for three servers: ours, pythonSoftIOC, caproto's.

`value_script.py SERVER MODE`; as a script of ours SERVER and MODE are in its environment.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

BASE = "TE:BGRSCRPT_01"
MANY, LONG = 990, 100_000

Set = Callable[[str, Any], None]


def names(mode: str) -> list[str]:
    return [f"M{at}" for at in range(MANY)] if mode == "many" else ["V"]


def work(mode: str, set_value: Set) -> None:
    """Set values for ever; each is when it was set, by CLOCK_MONOTONIC."""
    import numpy

    array, due = numpy.zeros(LONG), time.monotonic()
    while True:
        if mode == "array":
            array[0] = time.monotonic()
            set_value("V", array)
        else:
            for name in names(mode):
                set_value(name, time.monotonic())
        if mode != "flood":
            due += 0.02 if mode == "one" else 0.1
            time.sleep(max(0.0, due - time.monotonic()))


def ours(mode: str) -> None:
    import bgrscrpt
    import numpy

    first: Any = numpy.zeros(LONG) if mode == "array" else 0.0
    pvs = {name: bgrscrpt.pv(name, first, precision=6) for name in names(mode)}
    bgrscrpt.pv("W", 0.0, writable=True, on_put=lambda _value: None)
    work(mode, lambda name, value: pvs[name].set(value))


def softioc(mode: str) -> None:
    from softioc import asyncio_dispatcher, builder
    from softioc import softioc as server

    builder.SetDeviceName(BASE)
    if mode == "array":
        pvs: dict[str, Any] = {"V": builder.WaveformIn("V", length=LONG, datatype=float)}
    else:
        pvs = {name: builder.aIn(name, initial_value=0) for name in names(mode)}
    builder.aOut("W", initial_value=0, on_update=lambda _value: None, blocking=True)
    builder.LoadDatabase()
    server.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    work(mode, lambda name, value: pvs[name].set(value))


def caproto(mode: str) -> None:
    import asyncio

    from caproto import ChannelDouble
    from caproto.asyncio.server import start_server

    class Written(ChannelDouble):
        pass

    if mode == "array":
        pvs: dict[str, Any] = {f"{BASE}:V": ChannelDouble(value=[0.0] * LONG, max_length=LONG)}
    else:
        pvs = {f"{BASE}:{name}": ChannelDouble(value=0.0) for name in names(mode)}
    pvs[f"{BASE}:W"] = Written(value=0.0)

    async def serve() -> None:
        loop = asyncio.get_running_loop()

        def set_value(name: str, value: Any) -> None:
            writing = pvs[f"{BASE}:{name}"].write(value)
            asyncio.run_coroutine_threadsafe(writing, loop).result()

        threading.Thread(target=work, args=(mode, set_value), daemon=True).start()
        await start_server(pvs, interfaces=["127.0.0.1"])

    asyncio.run(serve())


if __name__ == "__main__":
    server, mode = sys.argv[1:] or (os.environ["SERVER"], os.environ["MODE"])
    {"ours": ours, "softioc": softioc, "caproto": caproto}[server](mode)
