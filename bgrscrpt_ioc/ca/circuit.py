"""The protocol between a link and a client: bytes become requests, in order; answers become bytes.

It does not know what is asked for. A fault in answering a request harms only its client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from bgrscrpt_ioc.ca.link import SMALLEST, Link
from bgrscrpt_ioc.ca.longputs import PUTS, LongPuts
from bgrscrpt_ioc.ca.messages import (
    ECA_INTERNAL,
    NO_CHANNEL,
    BrokenProtocolError,
    Request,
    bytes_of_gets,
    error,
    first_request,
)


class Answering(Protocol):
    """Answers requests, by `Circuit.send`."""

    @property
    def long_puts(self) -> LongPuts:
        """What says whether a long request may come."""
        ...

    @property
    def at_work(self) -> bool:
        """Return whether closing the connection would disturb the client."""
        ...

    def may_begin(self, request: Request) -> bool:
        """Return whether a request may be answered before those ahead of it have got further.

        When they have, `Circuit.turn_soon` must be called.
        """
        ...

    def answered_at_once(self, data: memoryview) -> int:
        """Answer the plain reads at the start of `data`; return how many bytes these reads have."""
        ...

    def answer(self, request: Request) -> None:
        """Answer a request.

        Raises:
            BrokenProtocolError: the request makes no sense. The connection ends.
        """
        ...

    def caught_up(self) -> None:
        """Send what was kept while the client did not take it."""
        ...

    def ended(self) -> None:
        """Forget the client: it has gone."""
        ...


class Circuit:
    """The protocol of one connection; the reader of its link."""

    def __init__(self, link: Link, answering: Callable[[Circuit], Answering]) -> None:
        """Read what comes by `link`; `answering(circuit)` answers it."""
        self.link = link
        self._unread = bytearray()  # what was not looked at, or has not come whole
        self._is_new = False  # some of that was not looked at
        self._first: Request | None = None  # what comes before that
        self._answering = answering(self)

    # --- in ------------------------------------------------------------------------------------

    @property
    def at_work(self) -> bool:
        """Return whether closing the connection would disturb the client."""
        return self._answering.at_work

    @property
    def waiting(self) -> bool:
        """Return whether requests wait."""
        return self._is_new or self._first is not None

    def take(self, data: memoryview) -> None:
        """Take bytes. If nothing waits, answer gets at hand at once; all else waits for a turn."""
        if not self.waiting and not self._unread and self.link.may_work:
            data = data[self._answering.answered_at_once(data) :]
            if not data:
                return
        self._unread += data
        self._is_new = True
        self.link.ask()

    def go_on(self) -> None:
        """Answer what waits."""
        self._work()
        if self.link.connected and self.link.may_work:
            self._answering.caught_up()

    def turn_soon(self) -> None:
        """Give the client its turn soon, if requests wait."""
        if self.waiting:
            self.link.ask()

    def forget(self) -> None:
        """Drop the requests that wait."""
        self._first, self._is_new = None, False
        self._unread.clear()

    def ended(self) -> None:
        """Forget the client: it has gone. What it had put before is carried out, as in base."""
        self.guarded(self._put_the_rest)
        self.forget()
        self._answering.ended()
        del self._answering  # otherwise a circle keeps all this in memory until a full collection

    def _put_the_rest(self) -> None:
        long_puts = self._answering.long_puts
        request, self._first = self._first, None
        with contextlib.suppress(BrokenProtocolError):
            while request or (request := first_request(self._unread, long_puts.admit)):
                long_puts.came()
                if request.command in PUTS:
                    self._answering.answer(request)
                request = None
                del self._unread[: bytes_of_gets(self._unread)]

    def _work(self) -> None:
        """Answer requests while the client takes the answers and the turn lasts."""
        link, answering = self.link, self._answering
        while self.waiting and link.connected and link.may_work:
            request = self._look()
            if request is None:
                continue
            if not answering.may_begin(request):
                return
            self._first = None
            link.spend(SMALLEST)
            try:
                answering.answer(request)
            except BrokenProtocolError as broken:
                link.put(error(request, NO_CHANNEL, ECA_INTERNAL, str(broken)))
                link.refuse(str(broken))

    def _look(self) -> Request | None:
        """Return the request that was sent first; None if it has not come whole, or may not yet."""
        if self._first is None:
            with memoryview(self._unread) as data:
                answered = self._answering.answered_at_once(data)
            del self._unread[:answered]
            if not self.link.may_work:
                return None
            try:
                self._first = first_request(self._unread, self._answering.long_puts.admit)
            except BrokenProtocolError as broken:
                self.link.refuse(str(broken))
            if self._first is None:
                self._is_new = False
            else:
                self._answering.long_puts.came()
        return self._first

    # --- out -----------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send messages soon, in this order."""
        self.link.put(data)

    def guarded(self, call: Callable[[], object]) -> None:
        """Call something for the client. A fault of the IOC in it harms no other client."""
        self.link.guarded(call)
