"""Says in the log what clients do wrong: one line a minute for each client, and a count.

Every line that a client can cause goes through here, so that no client can fill the log.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import PurePath

QUIET = 60.0  # s between two lines about one client
OFFENDERS = 1000  # clients that are told apart; datagrams may name any sender
LONGEST_LINE = 200  # characters of what is said about a client

log = logging.getLogger("bgrscrpt_ioc.clients")


class Complaints:
    """What the log says of clients."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}  # by client: when, and how often since

    def say(self, offender: str, what: object) -> None:
        """Write a line, unless there was one about this client a short while ago."""
        line = self.due(offender)
        if line is not None:
            named, more = line
            log.warning("%s: %s%s", named, printable(what), more)

    def due(self, offender: str) -> tuple[str, str] | None:
        """Return whom a line is about, and what to add to it; None if the line is only counted.

        After `OFFENDERS` clients, all others are called "others".
        """
        now = self._clock()
        if offender not in self._said and len(self._said) >= OFFENDERS:
            self._said = {o: said for o, said in self._said.items() if now - said[0] < QUIET}
            if len(self._said) >= OFFENDERS:
                offender = "others"
        since, spared = self._said.get(offender, (-QUIET, 0))
        if now - since < QUIET and offender in self._said:
            self._said[offender] = since, spared + 1
            return None
        self._said[offender] = now, 0
        return offender, f" (and {spared} more before)" if spared else ""


def printable(what: object) -> str:
    """Return the text of an error or a sentence as one line of a log, whatever is in it."""
    text = f"{type(what).__name__}: {what}" if isinstance(what, Exception) else str(what)
    text = "".join(each if each.isprintable() else " " for each in text)
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 3]}..."


def fault(error: Exception) -> str:
    """Return one line about a fault of the IOC, with its place."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    place = f" at {PurePath(frames[0].filename).name}:{frames[0].lineno}" if frames else ""
    return f"a fault of the IOC{place}: {printable(error)}"
