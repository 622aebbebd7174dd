"""What an IOC asks of who starts it: its settings, now and later, and who else serves its names."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bgrscrpt_ioc.config.iocsettings import IocSettings


class SettingsSource(Protocol):
    """Where the settings come from, and who else may serve the instances. Both calls block."""

    def read(self) -> tuple[IocSettings, str]:
        """Read the settings, and say that others may change them, if they may.

        Raises:
            ConfigError: with every problem found.
        """
        ...

    def taken(self, settings: IocSettings) -> str:
        """Say why the instances of these settings must not be served, or ""."""
        ...


class Startup(SettingsSource, Protocol):
    """Where the settings of an IOC come from, at its start and later."""

    @property
    def config(self) -> Path | None:
        """The file that the settings come from, if there is one."""
        ...

    def refusal(self) -> str:
        """Say why nothing must be served, or "": an answer to what was asked before."""
        ...
