"""The last hour of one number, for a small plot. Pure."""

from __future__ import annotations

import math
from collections import deque

EVERY = 10.0  # s between two samples
SAMPLES = 361  # an hour, both ends included


class Trend:
    """One number every `EVERY` seconds; None if there was none, which is a gap in the plot."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float | None]] = deque(maxlen=SAMPLES)

    def add(self, now: float, value: float | None) -> None:
        """Add the newest number."""
        if value is not None and not math.isfinite(value):
            value = None
        self._samples.append((round(now, 1), value))

    def points(self) -> list[tuple[float, float | None]]:
        """Return times, s since the epoch, and numbers, oldest first."""
        return list(self._samples)
