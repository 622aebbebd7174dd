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
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import tornado.netutil
import tornado.web
import tornado.websocket
from _worker_thread import WorkerThread
from matplotlib import rc_context
from matplotlib.backends.backend_webagg_core import (
    FigureCanvasWebAggCore,
    FigureManagerWebAgg,
)
from matplotlib.figure import Figure
from technique.muon._plot_page import PAGE
from tornado.httpserver import HTTPServer

PORTS = 20  # how many are tried, from the wanted one up
UNSENT = 1 << 20  # bytes of control messages for a viewer that reads nothing; then it is dropped
FORMATS = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
}


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
    """One browser that looks.

    Gets every control message, and of the pictures only what it has time for: while one is on its
    way the next ones wait, and of these only the newest is sent.
    """

    def initialize(self, shown: PlotServer) -> None:
        self.shown = shown
        self.unsent = 0  # bytes of control messages
        self.is_sending = False  # a picture
        self.newest: bytes | None = None  # a picture that waits

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
        """Send a control message: a few of them answer each that a browser sends."""
        message = json.dumps(content)
        if self.unsent > UNSENT:
            self.close()  # and no memory is filled for one that does not read
            return
        self.unsent += len(message)
        self._send(message, lambda: self._sent(len(message)))

    def send_binary(self, blob: bytes) -> None:
        """Send a picture, now or as soon as the one before has left."""
        if self.is_sending:
            self.newest = blob
            return
        self.is_sending = True
        self._send(blob, self._picture_sent)

    def _send(self, message: str | bytes, then: Callable[[], None]) -> None:
        def sent(done: asyncio.Future[None]) -> None:
            if done.exception() is None:  # that of a viewer who has left is of no interest
                then()

        with contextlib.suppress(tornado.websocket.WebSocketClosedError):
            binary = isinstance(message, bytes)
            self.write_message(message, binary=binary).add_done_callback(sent)

    def _sent(self, size: int) -> None:
        self.unsent -= size

    def _picture_sent(self) -> None:
        self.is_sending = False
        if self.newest is not None:
            picture, self.newest = self.newest, None
            self.send_binary(picture)


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
        drawn: Callable[[str], None],
    ) -> None:
        """Prepare to serve.

        Args:
            figure: what is shown.
            lock: is held while the figure is drawn.
            title: of the page.
            table: gives the data as CSV.
            drawn: is told after each drawing why it failed, or an empty text.
        """
        self.figure, self.lock, self.title, self.table = figure, lock, title, table
        self._drawn = drawn
        self.canvas = _Canvas(figure)
        self.manager = FigureManagerWebAgg(self.canvas, 1)
        self.manager.set_window_title(title)
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self._thread = WorkerThread("plot server", self.run)
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
                    raise OSError(
                        error.errno,
                        f"the plot cannot be served at {address}, port {each}: {error.strerror};"
                        " set BACKGROUND_PLOT_ADDRESS and BACKGROUND_PLOT_PORT to others",
                    ) from error
        raise OSError(
            errno.EADDRINUSE,
            f"no port from {port} to {ports[-1]} is free at {address}:"
            " set BACKGROUND_PLOT_PORT to another",
        )

    def run(self) -> None:
        """Serve until `stop`, in the thread of the server."""
        asyncio.set_event_loop(self.loop)
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

        self.loop.run_until_complete(serve())
        self.loop.run_forever()
        server.stop()
        for viewer in list(self.manager.web_sockets):
            viewer.close()
        self.loop.run_until_complete(asyncio.sleep(0.05))  # for the farewells to leave
        self.loop.close()

    def refresh(self) -> None:
        """Have all viewers see the figure as it is now. From any thread; does not wait."""
        if self.manager.web_sockets and not self._drawing:
            self._drawing = True
            self.loop.call_soon_threadsafe(self._draw)

    def _draw(self) -> None:
        self._drawing = False
        try:
            with self.lock:
                self.canvas.draw()
        except Exception as error:  # noqa: BLE001 - matplotlib raises whatever a figure's parts do
            self._drawn(f"failed: {type(error).__name__}: {error}")
        else:
            self._drawn("")

    def stop(self) -> None:
        """Serve no more."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(5)
