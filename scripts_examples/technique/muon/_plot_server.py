"""Shows one figure to browsers: matplotlib's WebAgg in a thread and on a port of its own.

Paths and messages are those of matplotlib's own server, so that IBEX's plot window can connect too;
viewers can look and download, and change nothing. Knows nothing of what is plotted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import html
import io
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from string import Template
from typing import Any

import tornado.netutil
import tornado.web
import tornado.websocket
from matplotlib import rc_context
from matplotlib.backends.backend_webagg_core import (
    FigureCanvasWebAggCore,
    FigureManagerWebAgg,
)
from matplotlib.figure import Figure
from tornado.httpserver import HTTPServer

PORTS = 20  # how many are tried, from the wanted one up
BEHIND = 8  # pictures that a viewer may be behind before it is dropped; it then connects again
FORMATS = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
}
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<link rel="stylesheet" href="/_static/css/mpl.css">
<style>
  body { margin: 0; background: #fff; font: 14px/1.5 sans-serif; color: #555; }
  main { width: max-content; margin: 8px auto; }
  .ui-dialog-titlebar, .mpl-toolbar { display: none; }
  #figure > div > div { border: 0 !important; resize: none !important; }
  footer { padding: 0 16px; }
  footer a { color: #0072B2; margin-right: 1em; }
  #lost { display: none; background: #D55E00; color: #fff; padding: 4px 16px; }
</style>
<script src="/js/mpl.js"></script>
</head>
<body>
<main>
<div id="lost">No connection to the plot: what you see is old. Trying again ...</div>
<div id="figure"></div>
<footer>
  <a href="/1/download.png">picture</a><a href="/1/download.svg">SVG</a>
  <a href="/1/download.csv">data</a>
</footer>
</main>
<script>
  const socket = new WebSocket("ws://" + location.host + "/1/ws");
  const figure = new mpl.figure(1, socket, () => {}, document.getElementById("figure"));
  socket.onclose = () => {
    document.getElementById("lost").style.display = "block";
    setInterval(() => fetch("/").then((page) => page.ok && location.reload(), () => {}), 2000);
  };
</script>
</body>
</html>
""")


class _Canvas(FigureCanvasWebAggCore):
    """Hears only what a viewer needs: there is no toolbar, and no viewer changes the size."""

    def get_diff_image(self) -> bytes | None:
        """Whole pictures only: a browser that misses one difference is wrong ever after."""
        self._force_full = True
        return super().get_diff_image()

    def handle_event(self, event: dict[str, Any]) -> Any:
        kind = event.get("type")
        if kind in ("draw", "refresh", "send_image_mode"):
            return super().handle_event(event)
        if kind == "resize":  # the viewer has cleared its picture
            return super().handle_event({"type": "refresh"})
        if kind == "set_device_pixel_ratio":
            ratio = float(event.get("device_pixel_ratio", 1))
            return super().handle_event({**event, "device_pixel_ratio": min(max(ratio, 1), 3)})
        return None


class _Viewer(tornado.websocket.WebSocketHandler):
    """One browser that looks."""

    def initialize(self, shown: PlotServer) -> None:
        self.shown, self.unsent = shown, 0

    def open(self, *_: str) -> None:
        self.set_nodelay(True)
        self.shown.manager.add_web_socket(self)

    def on_close(self) -> None:
        self.shown.manager.web_sockets.discard(self)

    def on_message(self, message: str | bytes) -> None:
        try:
            event = json.loads(message)
            with self.shown.lock:
                self.shown.canvas.handle_event(event)
        except (ValueError, TypeError, AttributeError):
            self.close(1003, "not a message of matplotlib's")

    def send_json(self, content: dict[str, Any]) -> None:
        self._send(json.dumps(content), binary=False)

    def send_binary(self, blob: bytes) -> None:
        self._send(blob, binary=True)

    def _send(self, message: str | bytes, *, binary: bool) -> None:
        if self.unsent > BEHIND:
            self.close()  # and no memory is filled for one that does not read
            return
        self.unsent += 1
        with contextlib.suppress(tornado.websocket.WebSocketClosedError):
            self.write_message(message, binary=binary).add_done_callback(self._sent)

    def _sent(self, done: asyncio.Future[None]) -> None:
        self.unsent -= 1
        done.exception()  # that of a viewer who has left is of no interest


class _Page(tornado.web.RequestHandler):
    def initialize(self, shown: PlotServer) -> None:
        self.shown = shown

    def get(self) -> None:
        self.write(PAGE.substitute(title=html.escape(self.shown.title)))


class _Script(tornado.web.RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Type", "application/javascript")
        self.write(FigureManagerWebAgg.get_javascript() or "")


class _Download(tornado.web.RequestHandler):
    def initialize(self, shown: PlotServer) -> None:
        self.shown = shown

    def get(self, kind: str) -> None:
        if kind not in FORMATS:
            raise tornado.web.HTTPError(404)
        self.set_header("Content-Type", FORMATS[kind])
        self.set_header("Cache-Control", "no-store")
        if kind == "csv":
            self.write(self.shown.table())
            return
        picture = io.BytesIO()
        with self.shown.lock, rc_context({"svg.fonttype": "none"}):
            self.shown.figure.savefig(picture, format=kind)
        self.write(picture.getvalue())


class PlotServer:
    """The server of one figure. `lock` is held by whoever changes or draws the figure."""

    def __init__(
        self,
        figure: Figure,
        lock: AbstractContextManager[Any],
        title: str,
        table: Callable[[], str],
    ) -> None:
        self.figure, self.lock, self.title, self.table = figure, lock, title, table
        self.canvas = _Canvas(figure)
        self.manager = FigureManagerWebAgg(self.canvas, 1)
        self.manager.set_window_title(title)
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="plot server", daemon=True)
        self._drawing = False

    def start(self, address: str, port: int) -> int:
        """Serve from now on, at the first free port from this one up; which that is.

        Raises:
            OSError: none of them is free, or the address is not one of this host.
        """
        self._sockets = self._bound(address, port)
        self.port = self._sockets[0].getsockname()[1]
        self._thread.start()
        return self.port

    def _bound(self, address: str, port: int) -> list[Any]:
        ports = range(port, port + PORTS) if port else [0]
        for each in ports:
            try:
                return tornado.netutil.bind_sockets(each, address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, f"no port from {port} to {ports[-1]} is free at {address}")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        mine = {"shown": self}
        static = {"path": FigureManagerWebAgg.get_static_file_path()}
        application = tornado.web.Application(
            [
                (r"/(?:1/?)?", _Page, mine),
                (r"/js/mpl.js", _Script),
                (r"/_static/(.*)", tornado.web.StaticFileHandler, static),
                (r"/1/ws", _Viewer, mine),
                (r"/1/download\.([a-z]+)", _Download, mine),
            ],
            websocket_ping_interval=20,
            log_function=lambda _: None,  # the log of a script is for its operators
        )
        server = HTTPServer(application)

        async def serve() -> None:
            server.add_sockets(self._sockets)

        self._loop.run_until_complete(serve())
        self._loop.run_forever()
        server.stop()
        for viewer in list(self.manager.web_sockets):
            viewer.close()
        self._loop.run_until_complete(asyncio.sleep(0.05))  # for the farewells to leave
        self._loop.close()

    def refresh(self) -> None:
        """Have all viewers see the figure as it is now. From any thread; does not wait."""
        if self.manager.web_sockets and not self._drawing:
            self._drawing = True
            self._loop.call_soon_threadsafe(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        with self.lock:
            self.canvas.draw()

    def stop(self) -> None:
        """Serve no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
