"""The file descriptors of this process."""

from __future__ import annotations

import time

MANY = 1 << 14  # connections and files; the limit of Windows itself is in the millions


def descriptor_limit() -> int:
    """Return how many connections and files this process may have open."""
    return MANY


def wait_until_writable(descriptor: int) -> None:  # noqa: ARG001 - the contract's
    """Return after 50 ms: Windows has no event for a pipe that does not block."""
    time.sleep(0.05)
