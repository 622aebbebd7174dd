"""Requests from this host to an IOC that runs: there are none on Windows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Say = Callable[[str], None]


class RequestServer:
    """Hears nothing."""

    def __init__(self, answer: Callable[[str, Say], Awaitable[int]]) -> None:
        """Take what a request would be answered by."""

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


def ask(pid: int, request: str, say: Say, timeout: float) -> int:  # noqa: ARG001 - see the contract
    """Ask no process: that is not possible here.

    Raises:
        OSError: always; the text says what to do.
    """
    raise OSError("a running IOC cannot be asked on Windows: end the IOC and start it again")
