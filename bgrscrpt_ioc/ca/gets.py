"""The gets of one client: each is answered when its reading is current, at the client's pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from functools import partial

from bgrscrpt_ioc.ca import messages, reads, wire
from bgrscrpt_ioc.ca.channels import Reading, no_reading, too_large
from bgrscrpt_ioc.ca.circuit import Circuit
from bgrscrpt_ioc.ca.messages import Request, error, message
from bgrscrpt_ioc.ca.puts import ClientPuts
from bgrscrpt_ioc.ca.served import Served, ServedChannels

MOST = 1000  # gets of a client that wait, for a reading or for the client


class ClientGets:
    """Answers the gets of one client."""

    def __init__(
        self, circuit: Circuit, served: ServedChannels, puts: ClientPuts, *, fast: bool = True
    ) -> None:
        """Read the channels of `served`; puts that `puts` begins come first.

        `fast`: see reads.py.
        """
        self._circuit, self._served, self._puts, self._fast = circuit, served, puts, fast
        self._send, self._put_made = circuit.send, circuit.link.put_made
        self._looking = 0  # gets whose reading is not current yet
        self._due: deque[tuple[Served, Request]] = deque()  # gets whose reading is current

    @property
    def full(self) -> bool:
        """Return whether so many gets wait that the client's next requests must wait too.

        A request of 24 bytes may have an answer of megabytes. If many readings become current in
        one moment, all these answers would be in memory.
        """
        return self._looking + len(self._due) >= MOST

    def answered_at_once(self, data: memoryview) -> int:
        """Answer the gets at the start of `data` whose readings are at hand.

        Return how many bytes.
        """
        if not self._fast or self._puts.begin:
            return 0
        return reads.answered(data, self._served.readable, self._put_made)

    def get(self, served: Served, request: Request) -> None:
        """Answer a get when the value is current: at once, unless the reading is live."""
        live = served.channel.live
        if live.refresh is None:
            self._answer(served, request)
            return
        self._looking += 1
        current = partial(self._current, served, request)
        live.when_current(partial(self._circuit.guarded, current))

    def _current(self, served: Served, request: Request) -> None:
        self._looking -= 1
        self._due.append((served, request))
        self._circuit.link.ask()

    def catch_up(self) -> None:
        """Answer the gets whose readings are current, while the client takes the answers."""
        while self._due and self._circuit.link.may_work:
            self._answer(*self._due.popleft())
        if not self.full:
            self._circuit.turn_soon()

    def clear(self) -> None:
        """Drop all gets: the client has gone."""
        self._due.clear()

    def _answer(self, served: Served, request: Request) -> None:
        if served not in self._served:  # the channel was cleared meanwhile
            return
        channel, kind, identity, count = served.channel, request.kind, request.two, _count(request)
        large = too_large(channel, kind, count)
        if served.readable and not large:
            pieces = channel.reading_in_pieces(kind, count)
            if pieces is not None:
                self._circuit.link.in_pieces(self._in_pieces(served, request, pieces))
                return
        if request.command == messages.READ:
            self._answer_old(served, request, large=large)
        elif large:
            empty = no_reading(kind, 1).metadata
            status = messages.ECA_TOLARGE
            self._send(message(messages.READ_NOTIFY, kind, 0, status, identity, empty))
        else:
            made = reads.answer(channel, kind, count, readable=served.readable, keep=self._fast)
            self._send(reads.message(messages.READ_NOTIFY, identity, made))

    def _in_pieces(
        self, served: Served, request: Request, pieces: Generator[int, None, Reading]
    ) -> Iterator[int]:
        reading = yield from pieces
        if served not in self._served:  # the channel has been ended meanwhile
            return
        if request.command == messages.READ:
            self._send_old(served, request, reading)
        else:
            made = reads.around(request.kind, messages.ECA_NORMAL, reading)
            self._send(reads.message(messages.READ_NOTIFY, request.two, made))

    def _answer_old(self, served: Served, request: Request, *, large: bool) -> None:
        """Answer a get without callback. Old clients and base's acceptance test send these."""
        channel, kind, count = served.channel, request.kind, _count(request)
        status = messages.ECA_NORDACCESS
        if served.readable and large:
            status = messages.ECA_TOLARGE
        elif served.readable:
            try:
                reading = channel.read(kind, count)
            except wire.ConversionError:
                status = messages.ECA_GETFAIL
            else:
                self._send_old(served, request, reading)
                return
        self._send(error(request, served.cid, status, channel.name))

    def _send_old(self, served: Served, request: Request, reading: Reading) -> None:
        kind, count, payload = request.kind, reading.elements, reading.metadata + reading.data
        self._send(message(messages.READ, kind, count, served.cid, request.two, payload))


def _count(request: Request) -> int:
    """Return how many elements are asked for, 0 for all: old clients cannot ask for all."""
    return request.elements or int(request.command == messages.READ)
