"""Serves the web page until SIGTERM or ^C."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.host.files import make_directory
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.host.worker import in_thread
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.web.app import WebPage
from bgrscrpt_ioc.web.board import CONNECTING, Board
from bgrscrpt_ioc.web.events import Audience
from bgrscrpt_ioc.web.follower import PvFollower
from bgrscrpt_ioc.web.guard import Guard
from bgrscrpt_ioc.web.puts import PutThreads
from bgrscrpt_ioc.web.trend import EVERY

TOKEN = "BGRSCRPT_WEB_TOKEN"  # noqa: S105 - the name of a variable
ENDING = 1  # s that open pages have at the end
LOOPBACKS = ("127.", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class HttpPlace:
    """Where the page is, and who may command there; if `token` is None, nobody may."""

    host: str
    port: int
    names: Collection[str] = ()  # further names of the page
    token: str | None = None


def serve(find: Callable[[], Sequence[Instance]], place: HttpPlace) -> None:
    """Serve the page; return after SIGTERM or ^C.

    Args:
        find: returns the instances to show; it is called again now and then.
        place: address, names and token of the page.

    Raises:
        CommandFailed: the port cannot be used.
    """
    try:
        listening = socket.create_server(
            (place.host, place.port),
            family=socket.AF_INET6 if ":" in place.host else socket.AF_INET,
        )
    except OSError as error:
        raise CommandFailed(
            f"cannot serve the web page at {place.host}, port {place.port}:"
            f" {error.strerror or error}; choose another one by --http-port"
        ) from error
    with listening:
        logging.basicConfig(format="%(asctime)s bgrscrpt-ioc web %(levelname)s: %(message)s")
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(find, place, listening))


async def _serve(
    find: Callable[[], Sequence[Instance]], place: HttpPlace, listening: socket.socket
) -> None:
    board, audience, puts = Board(), Audience(), PutThreads()
    follower = PvFollower(board, audience.tell)
    names = {each.lower() for each in (socket.gethostname(), *place.names)}
    page = WebPage(board, audience, puts, Guard(place.token, names))
    server = uvicorn.Server(
        uvicorn.Config(
            page.application(),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=ENDING,
            ws="none",
        )
    )
    for instance in find():
        follower.follow(instance)
    tasks = [
        asyncio.create_task(each)
        for each in (
            _say_where(board, audience, place, listening.getsockname()[1]),
            _follow(find, follower),
            follower.seek(),
            _sample(board),
        )
    ]
    try:
        await server.serve(sockets=[listening])
    finally:
        for task in tasks:
            task.cancel()


async def _say_where(board: Board, audience: Audience, place: HttpPlace, port: int) -> None:
    """Say where the page is, once each IOC has answered or has had the time to."""
    with audience.listening() as listener:
        while any(each.state == CONNECTING for each in board):
            await listener.news()
    shown = f"[{place.host}]" if ":" in place.host else place.host
    complain(f"Web page at http://{shown}:{port}/")
    if place.token is not None and not place.host.startswith(LOOPBACKS):
        complain(
            f"WARNING: the page takes commands at {shown} without encryption: put a reverse proxy"
            " with TLS in front of it"
        )


async def _follow(find: Callable[[], Sequence[Instance]], follower: PvFollower) -> None:
    """Follow the instances that are found now and later."""
    while True:
        for instance in await in_thread(find):
            follower.follow(instance)
            # Hundreds of instances take a second: other requests are answered meanwhile.
            await asyncio.sleep(0)
        await asyncio.sleep(EVERY)


async def _sample(board: Board) -> None:
    while True:
        board.sample(time.time())
        await asyncio.sleep(EVERY)


def token(given: Path | None, state_dir: Path) -> str:
    """Return the token that allows commands: from the environment, or from a file.

    If there is no file, one is made that only this user can read.

    Raises:
        CommandFailed: the file cannot be read or made, or is empty.
    """
    if found := os.environ.get(TOKEN, ""):
        return found
    path = given or state_dir / "web.token"
    try:
        if given is None and not path.exists():
            make_directory(path.parent)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor
                file.write(secrets.token_urlsafe(24) + "\n")
        found = path.read_text("utf-8").strip()
    except OSError as error:
        raise CommandFailed(f"{path}: the token cannot be read: {error.strerror}") from error
    if not found:
        raise CommandFailed(f"{path}: is empty; write a token of your own choice into it")
    complain(f"The token for commands is in {path}")
    return found
