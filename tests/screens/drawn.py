"""A screen, drawn in a browser with macros and PVs as a site has them.

By cs-web-lib, which is not Phoebus: it draws the same files, with fewer widgets and properties.
`python -m tests.screens.drawn FILE.bob PICTURE.png PORT MACROS` makes a picture for the documents.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from benchmarks.rig.ca import ca_environ, free_port
from tests.examples.browser import Page, browsing

BUNDLE = Path(sys.prefix) / "screens" / "screen.js"
NOTHING = "######"  # what cs-web-lib shows in place of a value that it has not
# What a reader sees: texts, and what stands in fields.
TEXTS = """[...document.querySelectorAll("textarea:not([aria-hidden]), input")].map(e => e.value)
    .concat(document.body.innerText.split("\\n"))"""


@contextlib.asynccontextmanager
async def drawn(
    file: Path, macros: Mapping[str, str], ca_port: int, directory: Path
) -> AsyncIterator[Page]:
    """Open the page that draws this screen, with the PVs of the IOC at this port."""
    port = free_port()
    gateway = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [
            sys.executable,
            Path(__file__).with_name("pvws.py"),
            *(str(port), BUNDLE, file.parent),
        ],
        stdout=subprocess.PIPE,
        env=ca_environ(ca_port),
    )
    try:
        assert gateway.stdout is not None
        assert await asyncio.to_thread(gateway.stdout.readline) == b"serving\n"
        query = urlencode({"file": f"/{file.name}", "macros": json.dumps(macros)})
        profile = Path(tempfile.mkdtemp(dir=directory))
        async with browsing(f"http://127.0.0.1:{port}/?{query}", profile) as page:
            root = ET.parse(file).getroot()  # noqa: S314 - our own file
            size = {name: int(root.findtext(name, "")) for name in ("width", "height")}
            await page.ask(
                "Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False
            )
            yield page
    finally:
        gateway.kill()
        gateway.wait()
        if gateway.stdout:
            gateway.stdout.close()


async def texts(page: Page) -> list[str]:
    """Return the texts that the page shows; none while it is loaded."""
    return await page.evaluate(TEXTS) or []


async def until_shown(page: Page, *wanted: str) -> list[str]:
    """Wait until every PV has its value, and the page shows each of these; return all texts."""
    while True:
        found = await texts(page)
        missing = (
            not found or NOTHING in found or len(found) < 5
        )  # the display itself is not there yet
        if not missing and all(any(each in text for text in found) for each in wanted):
            return found
        await asyncio.sleep(0.1)


async def picture(file: Path, target: Path, port: int, macros: Mapping[str, str]) -> None:
    """Write a picture of a screen, once no PV is missing."""
    with tempfile.TemporaryDirectory() as made:
        async with drawn(file, macros, port, Path(made)) as page:
            await until_shown(page)
            shot = await page.ask("Page.captureScreenshot", format="png")
            target.write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    asyncio.run(
        picture(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
    )
