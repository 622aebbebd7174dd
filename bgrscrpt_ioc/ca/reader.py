"""Who reads the bytes of a client; nobody, when the client has gone."""

from __future__ import annotations

from typing import Protocol


class Reader(Protocol):
    """Reads what a client sends, and answers by `Link.put` and `Link.put_made`."""

    @property
    def at_work(self) -> bool:
        """Return whether closing the connection would disturb the client."""
        ...

    @property
    def waiting(self) -> bool:
        """Return whether requests wait until the client may have more done."""
        ...

    def take(self, data: memoryview) -> None:
        """Take bytes, which exist only during the call."""
        ...

    def go_on(self) -> None:
        """Answer what waits: the client takes answers again, or has its next turn."""
        ...

    def forget(self) -> None:
        """Drop what waits."""
        ...

    def ended(self) -> None:
        """Forget the client: it has gone."""
        ...


class Nobody:
    """The reader of a connection that has ended."""

    at_work = waiting = False

    def take(self, data: memoryview) -> None:
        """Take nothing."""

    def go_on(self) -> None:
        """Do nothing."""

    forget = ended = go_on
