"""The addresses of the web page: pages, JSON for programs, events, metrics.

control.py answers the addresses that change anything.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.web import events
from bgrscrpt_ioc.web.answers import error, unknown
from bgrscrpt_ioc.web.board import Board, Shown
from bgrscrpt_ioc.web.control import Control
from bgrscrpt_ioc.web.events import Audience
from bgrscrpt_ioc.web.guard import Guard
from bgrscrpt_ioc.web.metrics import Metrics
from bgrscrpt_ioc.web.openapi import description
from bgrscrpt_ioc.web.puts import PutThreads

PAGES: Mapping[str, str] = {
    "overview.html": "text/html; charset=utf-8",
    "instance.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "common.js": "text/javascript; charset=utf-8",
    "overview.js": "text/javascript; charset=utf-8",
    "instance.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# The browser loads everything from here, so nothing that a script prints can load or run code.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class WebPage:
    """Answers the requests of browsers and programs."""

    def __init__(self, board: Board, audience: Audience, puts: PutThreads, guard: Guard) -> None:
        self._board, self._audience = board, audience
        self._control, self._guard = Control(board, puts, guard), guard
        self._metrics = Metrics(board)
        self._files = {
            name: (resources.files("bgrscrpt_ioc.web") / "pages" / name).read_bytes()
            for name in PAGES
        }

    def application(self) -> ASGIApp:
        """Return the application that a web server calls."""

        def at(path: str, answer: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
            return Route(path, answer, methods=list(methods or ("GET",)))

        control = self._control
        routes = [
            at("/", self._file("overview.html")),
            *(at(f"/static/{name}", self._file(name)) for name in PAGES if ".html" not in name),
            at("/instances/{name}", self._instance_page),
            at("/events", self._events),
            at("/instances/{name}/events", self._instance_events),
            at("/api/session", control.session),
            at("/api/login", control.log_in, "POST"),
            at("/api/logout", control.log_out, "POST"),
            at("/api/openapi.json", self._openapi),
            at("/api/instances", self._list),
            at("/api/instances/{name}", self._detail),
            at("/api/instances/{name}/log", self._log),
            at("/api/instances/{name}/history", self._history),
            at("/api/instances/{name}/trend", self._trend),
            at("/api/instances/{name}/pvs/{pv}", control.set_own, "POST"),
            at("/api/instances/{name}/{command}", control.command, "POST"),
            at("/metrics", self._show_metrics),
            at("/healthz", self._healthy),
        ]
        return _Checked(Starlette(routes=routes), self._guard)

    # --- pages -------------------------------------------------------------------------------

    def _file(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_request: Request) -> Response:
            return Response(self._files[name], headers={"content-type": PAGES[name]})

        return answer

    async def _instance_page(self, request: Request) -> Response:
        code = 200 if self._found(request) is not None else 404
        return Response(
            self._files["instance.html"], code, headers={"content-type": PAGES["instance.html"]}
        )

    async def _events(self, _request: Request) -> Response:
        return _stream(events.overview(self._board, self._audience))

    async def _instance_events(self, request: Request) -> Response:
        if (shown := self._found(request)) is None:
            return unknown(request)
        return _stream(events.instance(self._audience, shown))

    # --- for programs ------------------------------------------------------------------------

    def _found(self, request: Request) -> Shown | None:
        return self._board.get(request.path_params["name"])

    async def _list(self, _request: Request) -> Response:
        now = time.time()
        return JSONResponse([each.summary(now) for each in self._board.sorted()])

    async def _detail(self, request: Request) -> Response:
        if (shown := self._found(request)) is None:
            return unknown(request)
        return JSONResponse(shown.detail(time.time()))

    async def _log(self, request: Request) -> Response:
        if (shown := self._found(request)) is None:
            return unknown(request)
        try:
            after = int(request.query_params.get("after", "0"))
            lines = int(request.query_params.get("lines", "1000"))
        except ValueError:
            return error(400, "after and lines should be whole numbers")
        first, found = shown.scroll.after(after, max(0, lines))
        return JSONResponse({"first": first, "lines": found, "open": shown.scroll.open})

    async def _history(self, request: Request) -> Response:
        if (shown := self._found(request)) is None:
            return unknown(request)
        return JSONResponse(list(_objects(shown.value("HISTORY") or "")))

    async def _trend(self, request: Request) -> Response:
        if (shown := self._found(request)) is None:
            return unknown(request)
        asked = request.query_params.get("pv", "")
        names = [asked] if asked else list(shown.trends)
        return JSONResponse(
            {name: shown.trends[name].points() for name in names if name in shown.trends}
        )

    async def _openapi(self, _request: Request) -> Response:
        return JSONResponse(description(__version__))

    async def _show_metrics(self, _request: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": "text/plain; version=0.0.4"})

    async def _healthy(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")


def _stream(lines: AsyncIterator[str]) -> StreamingResponse:
    # Some proxies collect events before they send them; this header tells them not to.
    return StreamingResponse(
        lines, headers={"x-accel-buffering": "no"}, media_type="text/event-stream"
    )


def _objects(lines: str) -> Any:
    for line in lines.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


class _Checked:
    """Refuses requests for other hosts, and adds headers that protect each answer."""

    def __init__(self, inner: ASGIApp, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        # Not X-Forwarded-Host, which a page of another site can set.
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if self._guard.knows_host(host):
            await self._inner(scope, receive, answer)
        else:
            text = f"{host!r} is not a host name of this page: allow it with --allow-host\n"
            await PlainTextResponse(text, 421)(scope, receive, answer)
