"""Accepts connections on one listening socket, also when file descriptors run short.

In that case asyncio's own server logs a traceback each second and accepts nobody. This one uses
`loop.sock_accept`, which every event loop has.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from bgrscrpt_ioc.access.complaints import fault
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.links import Links
from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.system import EXHAUSTED

PAUSE = 1.0  # s until the next try
SOON = 0.02  # s until the descriptors of a connection that ended are free


class Acceptor:
    """Makes a link of every connection to a listening socket, until it is closed."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[tuple[str, int]], Link],
        links: Links,
    ) -> None:
        """Accept from now on; `make` is called with the client's address.

        `listening` must not block. It is closed together with this object.
        """
        self._make, self._links = make, links
        self._loop = asyncio.get_running_loop()
        self._settling: set[asyncio.Task[object]] = set()
        self._socket = listening
        self._faults = Faults("taking connections")
        self._accepting = self._loop.create_task(self._accept())

    async def close(self) -> None:
        """Accept no more connections."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._socket.close()
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                connection, address = await self._loop.sock_accept(self._socket)
            except ConnectionAbortedError:  # the client has gone while it waited
                continue
            except OSError as error:
                pause = PAUSE
                with self._faults:
                    pause = self._failed(error)
                await asyncio.sleep(pause)
                continue
            link = None
            with self._faults:
                link = self._make(address[:2])
                self._links.add(link)
                task = self._loop.create_task(self._settle(link, connection))
                self._settling.add(task)
                task.add_done_callback(self._settling.discard)
            if link is None:
                connection.close()
            # If many wait, sock_accept returns at once, and nobody else would have a turn.
            await asyncio.sleep(0)

    async def _settle(self, link: Link, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: link, connection)
        except OSError as error:  # the client has gone already, or memory is short
            self._let_go(link, connection, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is let go
            self._let_go(link, connection, fault(error))

    def _let_go(self, link: Link, connection: socket.socket, why: object) -> None:
        connection.close()
        self._links.discard(link)
        self._links.complaints.say(link.peer, why)

    def _failed(self, error: OSError) -> float:
        """Return how long the next connection must wait.

        Make room for it if descriptors are short.
        """
        self._links.complaints.say("no connection accepted", error)
        ended = error.errno in EXHAUSTED and self._links.dismiss("no descriptors are left")
        return SOON if ended else PAUSE
