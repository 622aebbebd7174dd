"""Requests from this host to a running IOC, which are not possible on Windows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Say = Callable[[str], None]


class RequestServer:
    """Receives no request."""

    def __init__(self, answer: Callable[[str, Say], Awaitable[int]]) -> None:
        """Take the function that would answer a request."""

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


def ask(pid: int, request: str, say: Say, timeout: float) -> int:  # noqa: ARG001 - see the contract
    """Raise OSError: a running IOC cannot be asked on Windows.

    Raises:
        OSError: always; the text has the remedy.
    """
    raise OSError("a running IOC cannot be asked on Windows: end the IOC and start it again")
