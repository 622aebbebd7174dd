"""A record as it is now: its value, alarm and time, its subscribers, and puts to it.

Faces (Channel Access and others) show live records. What a record means is decided elsewhere, and
no protocol is known here. Use all of it in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.alarm import AlarmStatus
from bgrscrpt_ioc.records.fresh import Look
from bgrscrpt_ioc.records.puts import Completed, Puts
from bgrscrpt_ioc.records.table import Record

# The changes of a record, as bits. (Combining an IntFlag would take ten times as long.)
VALUE, SEVERITY, STATUS = 1, 2, 4
ALARM = SEVERITY | STATUS
AT_ONCE = 200  # subscribers that are told in one round of the event loop: it takes 0.3 ms

Refresh = Callable[[], "Awaitable[object] | None"]


class WrongValueError(ValueError):
    """A record cannot have a value; the text names both."""


class ReadOnlyError(PermissionError):
    """Clients cannot write a record; the text names the record."""


class Subscriber(Protocol):
    """Watches a record. `mask` has the changes that it is told of, as bits."""

    @property
    def mask(self) -> int:
        """Return the changes that the subscriber is told of, as bits."""
        ...

    def changed(self) -> None:
        """Note that there is a new value or alarm to read."""
        ...


class LiveRecord:
    """What the records of all kinds have in common.

    Attributes:
        name: full name, with the prefix.
        record: description, unit, precision, limits, choices.
        value: a number, the number of a choice, or a text.
        severity, status, stamp: its alarm, and when it last changed, in ns since 1970.
        subscribers: who watches it. Most records have none, and then a post only stores the value.
        caches: what faces have made of the value; emptied when the record changes.
        puts: carries out what clients put; None if the record is read-only.
        refresh: brings the value up to date before a client reads it; see `when_current`.
    """

    __slots__ = (
        "_look",
        "caches",
        "name",
        "puts",
        "record",
        "refresh",
        "severity",
        "stamp",
        "status",
        "subscribers",
        "value",
    )
    initial: ClassVar[Any] = 0
    alarm: ClassVar[AlarmStatus] = AlarmStatus.SOFT  # used for alarms without a status of their own

    def __init__(self, name: str, record: Record) -> None:
        """Make the record with an empty value and no alarm."""
        self.name, self.record, self.value = name, record, self.initial
        self.severity, self.status = Severity.NO_ALARM, AlarmStatus.NO_ALARM
        self.stamp = time.time_ns()
        self.subscribers: dict[Subscriber, None] = {}  # in the order of their coming
        self.caches: tuple[dict[Any, Any], ...] = ()
        self.puts: Puts | None = None
        self.refresh: Refresh | None = None
        self._look: Look | None = None

    # --- from the IOC --------------------------------------------------------------------------

    def post(
        self,
        value: Any,
        severity: Severity = Severity.NO_ALARM,
        status: AlarmStatus | None = None,
    ) -> None:
        """Store a new value and alarm, and tell the subscribers, if something has changed.

        Raises:
            WrongValueError: this record cannot have that value.
        """
        value = self.taken(value)
        if severity is Severity.NO_ALARM:
            status = AlarmStatus.NO_ALARM
        elif status is None:
            status = self.alarm
        what = VALUE if self._differs(value) else 0
        if severity != self.severity:
            what |= SEVERITY
        if status != self.status:
            what |= STATUS
        if what:
            self.value, self.severity, self.status = value, severity, status
            self.stamp = time.time_ns()
            for cache in self.caches:
                cache.clear()
            self._tell(tuple(self.subscribers), what)

    def _tell(self, subscribers: tuple[Subscriber, ...], what: int) -> None:
        """Tell those that watch these changes; if they are many, others have their turn between."""
        for subscriber in subscribers[:AT_ONCE]:
            # The mask is looked at first: that is faster, and most are still there.
            if subscriber.mask & what and subscriber in self.subscribers:
                subscriber.changed()
        if len(subscribers) > AT_ONCE:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._tell, subscribers[AT_ONCE:], what)

    def taken(self, value: Any) -> Any:
        """Return the value as the record keeps it.

        Raises:
            WrongValueError: the record cannot have it.
        """
        return value

    def understood(self, value: object) -> Any:
        """Return what a client puts, a number or a text, as a value of this record.

        Raises:
            WrongValueError: the record cannot have that value.
        """
        return self.taken(value)

    def _differs(self, value: Any) -> bool:
        return value != self.value

    # --- to faces ------------------------------------------------------------------------------

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the texts of the choices; empty if the value is no choice."""
        return self.record.choices

    def watch(self, subscriber: Subscriber) -> None:
        """Tell a subscriber of changes from now on."""
        self.subscribers[subscriber] = None

    def unwatch(self, subscriber: Subscriber) -> None:
        """Stop telling a subscriber."""
        self.subscribers.pop(subscriber, None)

    def when_current(self, then: Callable[[], None]) -> None:
        """Call `then` when the value is current: at once, unless a live reading takes time.

        After `fresh.PATIENCE` seconds `then` is called in any case. The value is then the last one,
        with its old time.
        """
        if self.refresh is None:
            then()
            return
        if self._look is None:
            self._look = Look(self.name)
        self._look.ask(self.refresh, then)

    @property
    def writable(self) -> bool:
        """Return whether clients may write the record, if access security lets them."""
        return self.puts is not None

    def put(self, value: object, by: str, completed: Completed) -> None:
        """Begin a put of a number or a text by `user@host`. Ask `access.rights` before.

        `completed` is called once, in the event loop, with "" or the reason why the put failed. It
        is called at once if there is nothing to wait for.

        Raises:
            WrongValueError: the record cannot have that value. Nothing has changed.
            ReadOnlyError: clients cannot write the record.
        """
        if self.puts is None:
            raise ReadOnlyError(f"{self.name} is read-only")
        self.puts.begin(self.understood(value), by, completed)
