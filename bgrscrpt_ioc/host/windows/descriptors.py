"""The file descriptors of this process."""

from __future__ import annotations

import time

MANY = 1 << 14  # sockets and files: Windows itself has no limit below millions


def descriptor_limit() -> int:
    """Return how many connections and files this process may have open."""
    return MANY


def wait_until_writable(descriptor: int) -> None:  # noqa: ARG001 - the contract's
    """Return a moment later: Windows has no event for a pipe that does not wait."""
    time.sleep(0.05)
