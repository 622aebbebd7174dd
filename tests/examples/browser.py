"""Real Chromium, headless, told what to do over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

DEADLINE = 180.0  # s
SIZE = {"width": 1116, "height": 610, "deviceScaleFactor": 1, "mobile": False}
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-port=0"),
)


class Page:
    """One page of the browser."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command, and its result."""
        number = next(self._numbers)
        await self._socket.write_message(
            json.dumps({"id": number, "method": method, "params": params})
        )
        while True:
            message = await self._socket.read_message()
            assert message is not None, "the browser has gone"
            answer = json.loads(message)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    async def evaluate(self, script: str) -> Any:
        """The value of this JavaScript."""
        answer = await self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    async def load(self, url: str) -> None:
        """Open this address, with whatever script was given to `Page.before`."""
        await self.ask("Page.navigate", url=url)

    async def before(self, script: str) -> None:
        """Run this JavaScript in every page that is opened from now on, before its own scripts."""
        await self.ask("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def resize(self, width: int) -> None:
        """Make the window so many pixels wide."""
        await self.ask("Emulation.setDeviceMetricsOverride", **{**SIZE, "width": width})

    async def until(self, script: str) -> Any:
        """Wait until this JavaScript is true."""
        while not (value := await self.evaluate(script)):
            await asyncio.sleep(0.05)
        return value

    async def picture_with(self, shown: Callable[[Image.Image], Any]) -> Image.Image:
        """What its canvas shows, as soon as that is in it.

        Not `Page.captureScreenshot`: asked again and again on a busy machine, headless Chromium
        156 answers "Not attached to an active page", or never (8 of 21 runs).
        """
        while True:
            data = await self.until("document.querySelector('canvas')?.toDataURL()")
            picture = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert(
                "RGB"
            )
            if shown(picture):
                return picture
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def browsing(url: str, directory: Path) -> AsyncIterator[Page]:
    """Chromium with this page open, everything of it in the directory; gone at the end."""
    profile = directory / "chromium"
    chromium = shutil.which("chromium")
    assert chromium is not None
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [chromium, *OPTIONS, f"--user-data-dir={profile}", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(directory), "PATH": "/usr/bin:/bin"},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            told = profile / "DevToolsActivePort"
            while not (told.exists() and len(told.read_text().splitlines()) > 1):
                assert process.poll() is None, "chromium has ended"
                await asyncio.sleep(0.05)
            port = told.read_text().splitlines()[0]
            socket = await _connected(port, url)
            try:
                page = Page(socket)
                await page.ask("Emulation.setDeviceMetricsOverride", **SIZE)
                yield page
            finally:
                socket.close()
                while await socket.read_message() is not None:
                    pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _connected(port: str, url: str) -> WebSocketClientConnection:
    """The connection to the page, which is there a little after the browser."""
    while True:
        answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json/list")
        for target in json.loads(answer.body):
            if target["type"] == "page" and target["url"].startswith(url):
                address = target["webSocketDebuggerUrl"]
                return await websocket_connect(address, max_message_size=1 << 26)
        await asyncio.sleep(0.05)


def like(picture: Image.Image, colour: str, tolerance: int = 24) -> Any:
    """Where the picture has this colour, `#rrggbb`: an array of True and False, [y, x]."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return (np.abs(np.asarray(picture, dtype=int) - wanted) <= tolerance).all(axis=2)
