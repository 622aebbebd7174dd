"""A stand-in for PVWS, the PV web socket: pvws.py PORT BUNDLE DIRECTORY, over the real libca.

Serves the screens in DIRECTORY, the page that draws them, and the PVs that it asks for. Of formulas
it knows one: a PV divided by a number.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import epics
from tornado.web import Application, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketHandler

PAGE = """<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">
<body style="margin: 0"><div id="root"></div>
<script src="/screen.js"></script>"""
SEVERITIES = ("NONE", "MINOR", "MAJOR", "INVALID")
FORMULA = re.compile(r"eq://`(?P<pv>[^`]+)` / (?P<by>\d+)")


class Page(RequestHandler):
    """What draws a screen."""

    def get(self) -> None:
        """Send the page."""
        self.write(PAGE)


class Pvs(WebSocketHandler):
    """The PVs of one page."""

    def open(self, *_: str) -> None:
        """Begin, with none."""
        self._pvs: dict[str, epics.PV] = {}

    def on_message(self, message: str | bytes) -> None:
        """Do what the page asks: subscribe, clear, write."""
        asked = json.loads(message)
        if asked["type"] == "subscribe":
            for name in asked["pvs"]:
                self._subscribe(name)
        elif asked["type"] == "clear":
            for name in asked["pvs"]:
                self._pvs.pop(name).disconnect()
        elif asked["type"] == "write":
            self._pvs[asked["pv"]].put(asked["value"])

    def on_close(self) -> None:
        """Let go of the PVs."""
        for pv in self._pvs.values():
            pv.disconnect()

    def _subscribe(self, name: str) -> None:
        formula = FORMULA.fullmatch(name)
        loop = asyncio.get_running_loop()
        divisor = float(formula["by"]) if formula else 0.0

        def changed(**now: Any) -> None:
            text = json.dumps({"type": "update", "pv": name, **update(now, divisor)})
            loop.call_soon_threadsafe(self._send, text)

        served = formula["pv"] if formula else name
        self._pvs[name] = epics.PV(
            served.removeprefix("ca://"), form="ctrl", auto_monitor=True, callback=changed
        )

    def _send(self, text: str) -> None:
        if self.ws_connection is not None and not self.ws_connection.is_closing():
            self.write_message(text)


def update(now: dict[str, Any], divisor: float) -> dict[str, Any]:
    """Return a PV's value as PVWS has it."""
    value, found = now["value"], {"severity": SEVERITIES[now["severity"]], "readonly": False}
    if divisor:
        return {**found, "vtype": "VDouble", "value": float(value) / divisor}
    if "char" in now["type"]:
        data = bytes(value)
        return {**found, "vtype": "VByteArray", "b64byt": base64.b64encode(data).decode()}
    if "enum" in now["type"]:
        labels = [each.decode() if isinstance(each, bytes) else each for each in now["enum_strs"]]
        return {
            **found, "vtype": "VEnum", "value": int(value), "text": labels[value], "labels": labels
        }  # fmt: skip
    if "string" in now["type"]:
        return {**found, "vtype": "VString", "text": value}
    limits = {"min": now["lower_disp_limit"], "max": now["upper_disp_limit"]}
    number = {"value": float(value), "units": now["units"], "precision": now["precision"] or 0}
    return {**found, **limits, **number, "vtype": "VDouble"}


async def main(port: int, bundle: Path, directory: Path) -> None:
    """Serve until killed."""
    static: Callable[[Path], dict[str, str]] = lambda path: {"path": str(path)}  # noqa: E731
    Application(
        [
            ("/", Page),
            ("/pvws/pv", Pvs),
            (r"/(screen\.js)", StaticFileHandler, static(bundle.parent)),
            (r"/(.*\.bob)", StaticFileHandler, static(directory)),
        ]
    ).listen(port, "127.0.0.1")
    print("serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
