"""Stands in for systemd's notices: there is no systemd on Windows."""

from __future__ import annotations

from collections.abc import MutableMapping


class Systemd:
    """Does nothing."""

    def __init__(self, variables: MutableMapping[str, str]) -> None:
        """Leave `variables` as they are."""

    def ready(self, status: str) -> None:
        """Do nothing."""

    def reloading(self) -> None:
        """Do nothing."""

    def reloaded(self, status: str) -> None:
        """Do nothing."""

    def stopping(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
