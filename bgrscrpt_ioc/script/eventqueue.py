"""Hands the events of an instance to its lifecycle one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from bgrscrpt_ioc.lifecycle.events import Event


class EventQueue:
    """The events that are not handled yet."""

    def __init__(self, handle: Callable[[Event], None], idle: Callable[[], None]) -> None:
        """`handle` is called with each event, `idle` when all events have been handled."""
        self._handle, self._idle = handle, idle
        self._events: deque[Event] = deque()
        self._handling = False

    def post(self, event: Event) -> None:
        """Handle an event, after those that are being handled: an effect may cause more events."""
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events:
                self._handle(self._events.popleft())
            self._idle()
        finally:
            self._handling = False
