"""The file descriptors of this process: how many there may be, and when one can be written to."""

from __future__ import annotations

import resource
import select


def descriptor_limit() -> int:
    """Return how many descriptors this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def wait_until_writable(descriptor: int) -> None:
    """Return when the descriptor takes data again, or its reader has gone. Blocks."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    waiting.poll()
