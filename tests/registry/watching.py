"""A registry whose changes of status can be waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.registry.registry import PvRow, Registry, RegistryStatus
from bgrscrpt_ioc.registry.times import USUAL, Times

NAME = "BGRSCRPT_01"
STARTED = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


class Watched:
    """A `Registry` and the names that it has reported."""

    def __init__(self, url: str, state_dir: Path, times: Times = USUAL, prefix: str = "") -> None:
        self._told = threading.Condition()
        self.names: list[str] = []
        self.state_dir = state_dir
        self.registry = Registry(url, state_dir, self._tell, prefix=prefix, times=times)

    def _tell(self, name: str) -> None:
        with self._told:
            self.names.append(name)
            self._told.notify_all()

    def until(
        self, wanted: Callable[[RegistryStatus], bool], name: str = NAME, timeout: float = 60
    ) -> RegistryStatus:
        """Wait for a status; the registry's own callback wakes the test."""
        end = time.monotonic() + timeout
        with self._told:
            while not wanted(status := self.registry.status(name)):
                left = end - time.monotonic()
                assert left > 0, f"{name} stays at {status}"
                self._told.wait(left)
            return status

    def until_registered(self, name: str = NAME) -> RegistryStatus:
        """Wait until the registry has the running script."""
        return self.until(lambda status: status.registered, name)

    def until_problem(self, text: str, name: str = NAME) -> RegistryStatus:
        """Wait until the message contains this."""
        return self.until(lambda status: text in status.message, name)

    def until_written(self, timeout: float = 60) -> None:
        """Wait until all threads of the registry have ended: nothing is left to do."""
        end = time.monotonic() + timeout
        while threads := registry_threads():  # one may start another before it ends
            threads[0].join(max(0.0, end - time.monotonic()))
            assert time.monotonic() < end, f"still at work after {timeout} s"

    def register(self, name: str = NAME, **changes: Any) -> None:
        """Register a script, with plain values for what is not given."""
        values: dict[str, Any] = {
            "pid": 4242,
            "exe_path": "/scripts/a.py",
            "started": STARTED,
            "pvs": [PvRow(f"TE:{name}:STATUS", "mbbi", "State", {"archive": "VAL"})],
        }
        self.registry.register(name, **values | changes)


def registry_threads() -> list[threading.Thread]:
    """Return the registry's threads that live."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("registry")]
