"""The addresses of the web page that control instances: log in, command, set a script's PV.

guard.py decides who may use them.
"""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.client.ownpvs import value_for
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.web.answers import body_of, error, unknown
from bgrscrpt_ioc.web.board import Board, Shown
from bgrscrpt_ioc.web.guard import COOKIE, LIFE, Guard
from bgrscrpt_ioc.web.puts import COMMANDS, PutThreads

LARGEST_VALUE = 1 << 20  # bytes of a request's body with the value of a PV


class Control:
    """Answers requests that control an instance."""

    def __init__(self, board: Board, puts: PutThreads, guard: Guard) -> None:
        self._board, self._puts, self._guard = board, puts, guard

    async def session(self, request: Request) -> Response:
        """Tell a browser whether it may command, and how."""
        session = self._guard.session(request.headers)
        return JSONResponse(
            {
                "control": self._guard.token is not None,
                "csrf": None if session is None else session.csrf,
                "version": __version__,
            }
        )

    async def log_in(self, request: Request) -> Response:
        """Begin a session of a browser that knows the token."""
        if not self._guard.is_own_origin(request.headers):
            return error(403, "the request comes from another site")
        body = await body_of(request)
        found = self._guard.log_in(str(body.get("token", "")))
        if found is None:
            return error(
                403,
                "the token is wrong, or too many wrong ones were tried: wait a minute"
                if self._guard.token is not None
                else "this page is read-only: start `bgrscrpt-ioc web` with --allow-control",
            )
        name, session = found
        response = JSONResponse({"csrf": session.csrf})
        response.set_cookie(
            COOKIE,
            name,
            max_age=int(LIFE),
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )
        return response

    async def log_out(self, request: Request) -> Response:
        """End a session."""
        if refused := self._guard.may_command(request.headers):
            return error(403, refused)
        self._guard.log_out(request.headers)
        response = JSONResponse({})
        response.delete_cookie(COOKIE)
        return response

    async def command(self, request: Request) -> Response:
        """Command an instance; the answer comes when the command has ended."""
        shown = self._commanded(request)
        if isinstance(shown, Response):
            return shown
        record, value = COMMANDS.get(request.path_params["command"]), 1
        if request.path_params["command"] == "autorestart":
            on = (await body_of(request)).get("on")
            if not isinstance(on, bool):
                return error(400, 'the body should be {"on": true} or {"on": false}')
            record, value = "AUTORESTART", int(on)
        if record is None:
            return error(404, f"no such command; there are {', '.join(COMMANDS)}, autorestart")
        return await _answer(self._puts.put(shown.instance, record, value))

    async def set_own(self, request: Request) -> Response:
        """Set a PV that the script has made."""
        shown = self._commanded(request)
        if isinstance(shown, Response):
            return shown
        name = request.path_params["pv"]
        if (own := shown.own.get(name)) is None:
            return error(404, f"{name}: the script has no such PV")
        if not own.pv.writable:
            return error(409, f"{name} is read-only: the script has made it without writable=True")
        try:
            value = value_for(own.pv, (await body_of(request, LARGEST_VALUE)).get("value"))
        except ValueError as problem:
            return error(400, f'{name}: {problem} expected, as {{"value": ...}}')
        return await _answer(self._puts.set_own(shown.instance, name, value))

    def _commanded(self, request: Request) -> Shown | Response:
        """Return the instance that a request may command, or why there is none."""
        if refused := self._guard.may_command(request.headers):
            return error(403, refused)
        return self._board.get(request.path_params["name"]) or unknown(request)


async def _answer(put: Awaitable[None]) -> Response:
    """Answer when a put is over: done, or why it failed."""
    try:
        await put
    except CommandFailed as failure:
        return error(409, str(failure))
    return JSONResponse({"done": True})
