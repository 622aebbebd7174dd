"""How long the registry waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """All times are in seconds."""

    backoff: float = 1.0  # after the first failure; doubles
    backoff_max: float = 30.0
    # After the IOC's start: the rows of a dead IOC must not make the start slower.
    settle: float = 1.0
    journal_retry: float = 5.0
    connect: float = 3.0
    answer: float = 5.0  # one answer of the server
    lock: float = 3.0  # shorter than `answer`, so that the server gives up first


USUAL = Times()
