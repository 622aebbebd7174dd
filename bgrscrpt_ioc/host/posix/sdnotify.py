"""Tells systemd that the IOC serves, that it lives, and that it ends: the protocol of sd_notify(3).

It does nothing unless systemd has asked for it by its variables.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping

SOON = 0.1  # s until the next try, while systemd's queue is full
SHARES = 3  # keep-alives in each watchdog interval, so that a late one does no harm

log = logging.getLogger("bgrscrpt_ioc.systemd")


class Systemd:
    """The socket of systemd, if there is one. Use it in the event loop."""

    def __init__(self, variables: MutableMapping[str, str]) -> None:
        """Remove systemd's variables from `variables`, because they are not for the scripts."""
        path = variables.pop("NOTIFY_SOCKET", "")
        interval = variables.pop("WATCHDOG_USEC", "")
        asked = variables.pop("WATCHDOG_PID", str(os.getpid()))
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        meant = interval.isdecimal() and asked == str(os.getpid())
        self._every = int(interval) / 1e6 / SHARES if meant else 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        if path.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def ready(self, status: str) -> None:
        """Tell systemd that the IOC serves, with a line for `systemctl status`.

        Then send keep-alives.

        The event loop sends the keep-alives, so none is sent while the loop hangs.
        """
        self._tell(f"READY=1\nSTATUS={status}")
        if self._every and self._socket is not None:
            self._keep_alive()

    def reloading(self) -> None:
        """Say that the configuration is read again; `reloaded` says that this is done."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=reading the configuration again")

    def reloaded(self, status: str) -> None:
        """Say that the IOC serves, by the old configuration or the new."""
        self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Tell systemd that the IOC ends; no keep-alive follows."""
        if self._timer is not None:
            self._timer.cancel()
        self._tell("STOPPING=1\nSTATUS=stopping all scripts")

    def close(self) -> None:
        """Tell systemd nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _keep_alive(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._keep_alive)
        self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
        except BlockingIOError:
            asyncio.get_running_loop().call_later(SOON, self._tell, text)
        except OSError as error:
            log.warning(
                "systemd cannot be told %s: NOTIFY_SOCKET: %s", text.split("\n")[0], error.strerror
            )
            self.close()
