"""Keeps the values of a script's PVs that outlive the script and the IOC, in one JSON file.

The file is beside that of kept.py and is always replaced as a whole. `ROOM` bounds it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.host.files import read_regular, replace_file
from bgrscrpt_ioc.host.worker import Worker

EVERY = 1.0  # s between two saves: the newest values count
RETRY = 5.0  # s until a save that has failed is tried again
ROOM = 10_000  # elements, or 8 bytes of a text each, of all kept PVs of a script
LONGEST_FILE = 1 << 20  # bytes

log = logging.getLogger("bgrscrpt_ioc.kept")


class KeptValues:
    """The kept values of one instance, as JSON has them."""

    def __init__(self, path: Path, worker: Worker) -> None:
        """Load the values. A file that is damaged is named in the log, and gives no values."""
        self._path, self._worker = path, worker
        self.now: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._changed = False
        self._trouble = ""
        try:
            found = json.loads(read_regular(path, LONGEST_FILE))
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s: the kept values of PVs cannot be read: %s", path, error)
            return
        if isinstance(found, dict):
            self.now = found

    def set(self, name: str, value: Any) -> None:
        """Keep a value. The caller must not change `value` afterwards."""
        self.now[name] = value
        self._save_soon()

    def retain(self, names: set[str]) -> None:
        """Keep the values of these PVs, and forget all others."""
        gone = self.now.keys() - names
        if gone:
            for name in gone:
                del self.now[name]
            self._save_soon()

    def close(self) -> None:
        """End: the worker's last work is to save what is not saved."""
        if self._timer is not None:
            self._timer.cancel()
        if self._changed:
            self._save()

    def _save_soon(self) -> None:
        self._changed = True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._save)

    def _save(self) -> None:
        self._timer, self._changed = None, False
        values = dict(self.now)
        self._worker.do(f"save {self._path}", lambda: _save(self._path, values), self._saved)

    def _saved(self, trouble: str) -> None:
        if trouble:
            if not self._trouble:
                log.warning("the values of PVs cannot be kept: %s; trying again", trouble)
            self._changed = True
            self._timer = self._timer or asyncio.get_running_loop().call_later(RETRY, self._save)
        elif self._trouble:
            log.info("the values of PVs are kept again: %s", self._path)
        self._trouble = trouble


def _save(path: Path, values: Mapping[str, Any]) -> str:
    """Replace the file, in the worker; return what went wrong, or nothing."""
    text = json.dumps(values, default=list)  # an array becomes the list of its elements
    try:
        replace_file(path, text.encode())
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""
