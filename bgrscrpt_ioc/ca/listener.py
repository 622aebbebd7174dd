"""Takes the connections of clients on one address, also when descriptors run short.

asyncio's own server logs a traceback a second then, and lets nobody in.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.links import Links

BACKLOG = 1024  # clients that wait to be accepted: who finds no place there tries a second later
AT_ONCE = 16  # that are accepted before others have their turn
PAUSE = 1.0  # s until it is tried again
SOON = 0.02  # s until what an ended connection had is free
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Makes a link of every connection to `address`, until it is closed."""

    def __init__(
        self, address: tuple[str, int], make: Callable[[tuple[str, int]], Link], links: Links
    ) -> None:
        """Listen; `make` is called with the client's address.

        Raises:
            OSError: the address is not to be had.
        """
        self._make, self._links = make, links
        self._loop = asyncio.get_running_loop()
        self._settling: set[asyncio.Task[object]] = set()
        self._later: asyncio.TimerHandle | None = None
        # By protocol, which accepted sockets inherit: only so asyncio sets their TCP_NODELAY.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen(BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self._resume()

    async def close(self) -> None:
        """Take no more."""
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        await asyncio.gather(*self._settling, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._fail(error)
                return
            connection.setblocking(False)
            link = self._make(address[:2])
            self._links.add(link)
            task = self._loop.create_task(self._settle(link, connection))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _settle(self, link: Link, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: link, connection)
        except OSError as error:  # it has gone already, or there is no memory for it
            connection.close()
            self._links.discard(link)
            self._links.complaints.say(link.peer, error)

    def _fail(self, error: OSError) -> None:
        """Have the next one wait a little, and make room for it if that is what it lacks."""
        self._links.complaints.say("no connection accepted", error)
        ended = error.errno in EXHAUSTED and self._links.dismiss("no descriptors are left")
        self._loop.remove_reader(self._socket)
        self._later = self._loop.call_later(SOON if ended else PAUSE, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._socket, self._accept)
