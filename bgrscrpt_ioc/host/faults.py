"""Keeps a service running after a fault of the IOC in one of its turns."""

from __future__ import annotations

import logging
from types import TracebackType

FAULT = "an internal error of the IOC, see the log of the IOC"  # what people are told of one

log = logging.getLogger("bgrscrpt_ioc.faults")


class Faults:
    """The faults of one service.

    `with faults:` logs an exception, once for each kind, and goes on.
    """

    def __init__(self, service: str) -> None:
        """Prepare; `service` is the name in the log."""
        self._service = service
        self._said: set[str] = set()

    def __enter__(self) -> None:
        """Begin a turn."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """End a turn. Only exceptions that end the IOC or its task are raised further."""
        if not isinstance(error, Exception):
            return False
        if (name := type(error).__name__) not in self._said:
            self._said.add(name)
            log.error(
                "%s: a fault of the IOC, said once; it goes on: %r",
                self._service,
                error,
                exc_info=error,
            )
        return True
