"""Where the IOC's messages and its scripts' lines go: console, stdout, log server; text or JSON.

Scripts' lines go to stdout. Messages of the IOC go to stderr as text, or as JSON to stdout too, so
that one stream has all objects in their order. A log server gets the messages of the IOC.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Literal

from bgrscrpt_ioc.config.epicsvars import read_epics_variables
from bgrscrpt_ioc.host.streams import is_journal
from bgrscrpt_ioc.output.console import Console, JsonMessages, TextMessages
from bgrscrpt_ioc.output.echo import Echo
from bgrscrpt_ioc.output.jsonlines import JsonLines
from bgrscrpt_ioc.output.logserver import LogServer
from bgrscrpt_ioc.output.textlines import TextLines


class Outlets:
    """Those of one IOC process; `echo` copies lines to stdout."""

    def __init__(self, log_format: Literal["text", "json"], prefix: str, *, names: bool) -> None:
        """Take the messages of the IOC from now on.

        Args:
            log_format: form of all lines.
            prefix: of the PVs; it tells IOCs apart.
            names: whether lines of text say of which instance they are.
        """
        self._prefix, self._console = prefix, None
        self._json = JsonLines(prefix) if log_format == "json" else None
        self.echo = Echo(sys.stdout.fileno(), self._json or TextLines(names=names))
        if self._json is not None:
            messages: logging.Handler = JsonMessages(self._json, self.echo.put_line)
        else:
            stderr = sys.stderr.fileno()
            journal = is_journal(stderr, os.environ.get("JOURNAL_STREAM", ""))
            messages = self._console = Console(stderr, journal=journal)
        logging.basicConfig(level=logging.INFO, handlers=[messages])
        self._server: LogServer | None = None
        self._onward: logging.Handler | None = None

    def connect(self, variables: Mapping[str, str]) -> None:
        """Send messages to the log server that EPICS's variables name, if they name one."""
        found = read_epics_variables(variables)
        if not found.log_host:
            return
        self._server = LogServer(found.log_host, found.log_port, "log server")
        if self._json is not None:
            self._onward = JsonMessages(self._json, self._server.send)
        else:
            self._onward = TextMessages(f"bgrscrpt-ioc {self._prefix}".strip(), self._server.send)
        logging.getLogger().addHandler(self._onward)

    async def disconnect(self) -> None:
        """Send what waits for the log server, and no more."""
        if self._onward is not None:
            logging.getLogger().removeHandler(self._onward)
        if self._server is not None:
            await self._server.close()

    def finish(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds each."""
        self.echo.close(timeout)
        if self._console is not None:
            self._console.finish(timeout)
