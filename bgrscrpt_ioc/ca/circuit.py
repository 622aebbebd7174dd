"""The protocol between a link and a client: bytes become requests, in order; answers become bytes.

It does not know what is asked for. A fault in answering a request harms only its client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from bgrscrpt_ioc.ca.link import SMALLEST, Link
from bgrscrpt_ioc.ca.longputs import LongPuts
from bgrscrpt_ioc.ca.messages import (
    ECA_INTERNAL,
    NO_CHANNEL,
    BrokenProtocolError,
    Request,
    error,
    requests,
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
        self._unread = bytearray()  # the beginning of a message that has not come whole
        self._requests: deque[Request] = deque()
        self._answering = answering(self)

    # --- in ------------------------------------------------------------------------------------

    @property
    def at_work(self) -> bool:
        """Return whether closing the connection would disturb the client."""
        return self._answering.at_work

    @property
    def waiting(self) -> bool:
        """Return whether requests wait."""
        return bool(self._requests)

    def take(self, data: memoryview) -> None:
        """Take bytes, and answer as many requests as the client may have answered now."""
        if not self._requests and not self._unread and not self.link.busy:
            data = data[self._answering.answered_at_once(data) :]  # no request waits before these
            if not data:
                return
        self._unread += data
        try:
            for request in requests(self._unread, self._answering.long_puts.admit):
                self._answering.long_puts.came()
                self._requests.append(request)
        except BrokenProtocolError as broken:
            self.link.refuse(str(broken))
            return
        self._work()

    def go_on(self) -> None:
        """Answer what waits."""
        self._work()
        if self.link.connected and not self.link.busy:
            self._answering.caught_up()

    def turn_soon(self) -> None:
        """Give the client its turn soon, if requests wait."""
        if self._requests:
            self.link.spend(0)

    def forget(self) -> None:
        """Drop the requests that wait."""
        self._requests.clear()

    def ended(self) -> None:
        """Forget the client: it has gone."""
        self._requests.clear()
        self._answering.ended()
        del self._answering  # otherwise a circle keeps all this in memory until a full collection

    def _work(self) -> None:
        """Answer requests while the client takes the answers and the turn lasts."""
        link, waiting, answering = self.link, self._requests, self._answering
        while waiting and link.connected and not link.busy:
            request = waiting[0]
            if not answering.may_begin(request):
                return
            link.spend(SMALLEST)
            waiting.popleft()
            try:
                answering.answer(request)
            except BrokenProtocolError as broken:
                link.put(error(request, NO_CHANNEL, ECA_INTERNAL, str(broken)))
                link.refuse(str(broken))

    # --- out -----------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send messages soon, in this order."""
        self.link.put(data)

    def guarded(self, call: Callable[[], object]) -> None:
        """Call something for the client. A fault of the IOC in it harms no other client."""
        self.link.guarded(call)
