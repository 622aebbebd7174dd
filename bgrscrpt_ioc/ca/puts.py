"""The puts of one client: begun at once, answered when they have ended. Nothing waits for a put."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from bgrscrpt_ioc.access.rights import Access, NoAccessError
from bgrscrpt_ioc.ca import messages, wire
from bgrscrpt_ioc.ca.messages import (
    ECA_NORMAL,
    ECA_NOWTACCESS,
    ECA_PUTCBINPROG,
    ECA_PUTFAIL,
    WRITE_NOTIFY,
    Request,
)
from bgrscrpt_ioc.ca.served import Served, ServedChannels
from bgrscrpt_ioc.records.live import WrongValueError

COST = 7 << 10  # bytes of answers: puts that are sent in a row end before the next ones begin


class ClientPuts:
    """The puts of one client that have not ended."""

    def __init__(
        self,
        access: Access,
        served: ServedChannels,
        send: Callable[[bytes], None],
        complain: Callable[[str], None],
        spend: Callable[[int], None],
        begun: Callable[[], None],
        *,
        most: int,
        most_of_record: int,
    ) -> None:
        """Prepare; there is no put yet.

        Args:
            access: decides, carries out, and logs.
            served: the client's channels.
            send: sends an answer.
            complain: says in the log what the client does.
            spend: counts what is done for the client in this turn.
            begun: is called when all puts of this turn have begun.
            most: puts of the client that have not ended, at most.
            most_of_record: puts to one record that have not ended, of all clients, at most. The
                only put
                of a client is always carried out.
        """
        self._access, self._served, self._send, self._complain = access, served, send, complain
        self._spend, self._begun = spend, begun
        self._most, self._most_of_record = most, most_of_record
        self._loop = asyncio.get_running_loop()
        self._pending = self._beginning = 0

    def put(self, served: Served, request: Request) -> None:
        """Begin a put, or refuse it."""
        live, asker = served.channel.live, self._served.asker
        if not served.channel.writable or live.puts is None:
            self._fail(served, request, ECA_NOWTACCESS)
            return
        try:
            value = served.channel.understood(request.kind, request.elements, request.payload)
        except wire.ConversionError as error:
            self._access.refused(live, "nothing", asker, str(error))
            self._fail(served, request, ECA_PUTFAIL)
            return
        if served.writable and (self._pending >= self._most or self._crowds(live.puts.pending)):
            self._complain(f"{served.channel.name}: put refused: too many have not ended yet")
            self._access.refused(live, value, asker, "too many puts have not ended yet")
            self._fail(served, request, ECA_PUTCBINPROG)
            return
        self._pending += 1
        self._spend(max(COST, len(request.payload)))
        try:
            self._access.put(live, value, asker, partial(self._ended, served, request))
        except (NoAccessError, WrongValueError) as error:
            self._pending -= 1
            no_access = isinstance(error, NoAccessError)
            self._fail(served, request, ECA_NOWTACCESS if no_access else ECA_PUTFAIL)
        else:
            self._beginning += 1
            self._loop.call_soon(self._one_has_begun)  # after the put's own first step

    @property
    def begin(self) -> bool:
        """Return whether puts are still to begin in this turn of the event loop.

        Later requests wait until they have begun.
        """
        return self._beginning > 0

    def _one_has_begun(self) -> None:
        self._beginning -= 1
        if not self._beginning:
            self._begun()

    def _crowds(self, pending: int) -> bool:
        """Return whether too many puts to a record wait.

        A client with no other put is never refused.
        """
        return self._pending > 0 and pending >= self._most_of_record

    def _fail(self, served: Served, request: Request, status: int) -> None:
        """Refuse a put at once.

        As in base, an exception tells a client that waits for no answer.
        """
        if request.command == WRITE_NOTIFY:
            self._answer(request, status)
        else:
            self._send(messages.error(request, served.cid, status, served.channel.name))

    def _ended(self, served: Served, request: Request, failure: str) -> None:
        """Answer a put that has ended. The client may have gone, or cleared the channel."""
        self._pending -= 1
        if request.command == WRITE_NOTIFY and served in self._served:
            self._answer(request, ECA_PUTFAIL if failure else ECA_NORMAL)

    def _answer(self, request: Request, status: int) -> None:
        self._send(
            messages.message(WRITE_NOTIFY, request.kind, request.elements, status, request.two)
        )
