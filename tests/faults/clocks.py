"""A wall clock that tests can set for an IOC process, with libfaketime."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

LIBRARIES = [
    path
    for directory in ("/usr/lib", "/usr/lib64", "/usr/local/lib")
    for path in Path(directory).glob("**/faketime/libfaketimeMT.so.1")
]


# libfaketime 0.9.10 makes Python's sleep fail (clock_nanosleep until a monotonic time): not for the
# script then, whose clock is not what is tested.
NOT_THE_SCRIPT = ("--env", "LD_PRELOAD=")


class WallClock:
    """Differs from the true time by the seconds in a file; the monotonic clock does not change."""

    def __init__(self, file: Path) -> None:
        if not LIBRARIES:
            pytest.skip("NO LIBFAKETIME (Debian: faketime): what a set clock does is NOT tested")
        self._file = file
        self._offset = 0.0
        self.set_by(0)
        self.environ = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set_by(self, seconds: float) -> None:
        """Set it forward, or back."""
        self._offset += seconds
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self._offset:+.3f}\n")
        fresh.replace(self._file)

    def set_to(self, moment: datetime) -> None:
        """Set it to this local time."""
        self.set_by(moment.timestamp() - self.now)

    @property
    def now(self) -> float:
        """Return the time of this clock."""
        return time.time() + self._offset
