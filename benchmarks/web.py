"""The web page: how soon it is seen, and what it costs itself and the IOC.

`python -m benchmarks.web`. 100 scripts print a line and say that they are alive once a second.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from benchmarks.kit import Row, median, table
from benchmarks.rig.ca import ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, Ioc
from benchmarks.serving import instances, spent

COUNT = 100
READERS = 10
SETTLED = 5.0  # s
SECONDS = 10.0
LOADS = 5
BUSY = """
import time
import bgrscrpt
while True:
    print(time.time(), flush=True)
    bgrscrpt.alive()
    time.sleep(1)
"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
ALL_SHOWN = f"document.querySelectorAll('.row').length === {COUNT} && performance.now()"


@contextmanager
def web(ioc: Ioc) -> Iterator[tuple[psutil.Process, str, float]]:
    """The web page of an IOC: its process, its address, and the s until it said so."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "web", "--config", str(ioc.directory / "ioc.toml"), "--http-port", str(port)],
        env=ca_environ(ioc.port),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        if process.stderr is None:
            raise RuntimeError("Popen gave no pipe")
        process.stderr.readline()
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}/", time.perf_counter() - began
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def readers(url: str) -> Iterator[None]:
    """As many pages as READERS that listen to the events of all instances."""
    with ExitStack() as stack:
        for _ in range(READERS):
            reader = subprocess.Popen(  # noqa: S603 - our own command
                ["curl", "--silent", "--no-buffer", f"{url}events"],  # noqa: S607
                stdout=subprocess.DEVNULL,
            )
            stack.callback(reader.wait)
            stack.callback(reader.kill)
        yield


def load(*processes: psutil.Process) -> list[float]:
    """The % of a CPU that each takes."""
    time.sleep(SETTLED)
    before = [spent([each]) for each in processes]
    began = time.perf_counter()
    time.sleep(SECONDS)
    took = time.perf_counter() - began
    return [
        100 * (spent([each]) - first) / took for each, first in zip(processes, before, strict=True)
    ]


async def paints(url: str) -> tuple[float, float]:
    """Open the page some times; ms until the first paint, and until all instances are shown."""
    first: list[float] = []
    shown: list[float] = []

    # Here, not above: the other parts need no browser, and not what drives it.
    from tests.examples.browser import Page, browsing

    async def seen(page: Page, what: str) -> float:
        return float(await page.until(what))

    with tempfile.TemporaryDirectory(prefix="bgr-") as name:
        async with browsing("about:blank", Path(name)) as page:
            for _ in range(LOADS):
                await page.load(url)
                shown.append(await seen(page, ALL_SHOWN))
                first.append(await seen(page, FIRST_PAINT))
    return median(first), median(shown)


def rows() -> Iterator[Row]:
    """Measure."""
    with instances(COUNT, BUSY) as (ioc, _):
        process = psutil.Process(ioc.process.pid)
        (alone,) = load(process)
        with web(ioc) as (page, url, took):
            watched, idle = load(process, page)
            with readers(url):
                read, busy = load(process, page)
            memory = page.memory_info().rss / 1e6
            first, shown = asyncio.run(paints(url))
    these = f"{COUNT} scripts"
    yield Row(f"web page of {these}: first paint", "ms", first, {})
    yield Row(f"web page of {these}: all shown", "ms", shown, {}, "<= 1000 ms")
    yield Row(f"`web` of {these}: start to ready", "s", took, {})
    yield Row(f"`web` of {these}: CPU, nobody looks", "%", idle, {})
    yield Row(f"`web` of {these}: CPU, {READERS} pages open", "%", busy, {}, "<= 50 %")
    yield Row(f"`web` of {these}: memory", "MB", memory, {})
    yield Row(f"CPU of the IOC of {these}", "%", watched, {"without `web`": alone})
    yield Row(f"CPU of the IOC, {READERS} pages open", "%", read, {"without `web`": alone})


if __name__ == "__main__":
    print(table(rows()))
