"""Requests from this host to an IOC that runs: a word, answered by lines of text and a number.

An abstract socket (unix(7)): no file is left behind, whatever directory others work in. The kernel
tells who asks and who answers; nobody but the IOC's own user and root is heard.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from bgrscrpt_ioc.host.posix.processes import ids_of, own_id

LONGEST = 4096  # bytes of a request
PATIENCE = 5.0  # s that a request may take to come
AT_ONCE = 8  # requests that are answered or waited for
SAY, END = "- ", "= "  # what a line of an answer begins with
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

Say = Callable[[str], None]
Answer = Callable[[str, Say], Awaitable[int]]

log = logging.getLogger("bgrscrpt_ioc.control")


class RequestServer:
    """Where this process is asked."""

    def __init__(self, answer: Answer) -> None:
        """Nothing is heard before `start`.

        Args:
            answer: called with a request and with what says a line; returns the number.
        """
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._going: set[asyncio.Task[Any] | None] = set()

    async def start(self) -> None:
        """Hear requests; if that cannot be, the log says so."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(_address(own_id()))
            self._server = await asyncio.start_unix_server(
                self._asked, sock=listening, limit=LONGEST, backlog=AT_ONCE
            )
        except OSError as error:
            listening.close()
            log.warning("`bgrscrpt-ioc reload` does not reach this IOC: %s", error.strerror)

    async def close(self) -> None:
        """Hear nothing more; who still waits for an answer gets none."""
        if self._server is not None:
            self._server.close()
        going = [task for task in self._going if task is not None]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._going.add(task := asyncio.current_task())
        try:
            if len(self._going) <= AT_ONCE:
                await self._serve(reader, writer)
            else:
                writer.write(f"{SAY}the IOC is asked too much at once\n{END}1\n".encode())
        except (OSError, TimeoutError, ValueError, asyncio.CancelledError):
            pass  # the asker has gone, or says nothing; or the IOC ends
        finally:
            self._going.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{SAY}{line}\n".encode("utf-8", "replace"))

        _, user, _ = credentials(writer.get_extra_info("socket"))
        if user not in (0, os.geteuid()):
            say(f"only root and the IOC's own user, {os.geteuid()}, may ask")
            writer.write(f"{END}1\n".encode())
            return
        async with asyncio.timeout(PATIENCE):
            request = (await reader.readline()).decode("utf-8", "replace").strip()
        number = await self._answer(request, say)
        writer.write(f"{END}{number}\n".encode())
        await writer.drain()


def ask(pid: int, request: str, say: Say, timeout: float) -> int:
    """Ask the IOC process `pid`; say each line of its answer as it comes, and return the number.

    Raises:
        TimeoutError: it has not answered within `timeout` seconds.
        OSError: it cannot be asked, or has gone; the text says why.
    """
    with _connected(pid) as connection:
        connection.settimeout(timeout)
        with suppress(BrokenPipeError):  # refused unheard: the answer says why
            connection.sendall(f"{request}\n".encode())
        with connection.makefile("r", encoding="utf-8", errors="replace", newline="\n") as answer:
            for line in answer:
                if line.startswith(END):
                    return int(line.removeprefix(END))
                say(line.removeprefix(SAY).rstrip("\n"))
    raise OSError(f"the process {pid} went away before it had answered")


def credentials(connection: socket.socket) -> tuple[int, int, int]:
    """Return pid, uid and gid of the process at the other end, as the kernel knows them."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(data)


def _connected(pid: int) -> socket.socket:
    for address in map(_address, ids_of(pid)):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(address)
            if credentials(connection)[0] == pid:  # anybody may take any name
                return connection
        except OSError:
            pass
        connection.close()
    raise OSError(f"the process {pid} is no IOC that can be asked, or belongs to another container")


def _address(process: str) -> str:
    return f"\0bgrscrpt_ioc-control {process}"
