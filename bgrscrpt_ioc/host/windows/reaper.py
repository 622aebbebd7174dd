"""Sets up the system for the processes that the IOC starts. A tree waits for its own leader."""

from __future__ import annotations

import win32api

FAIL_CRITICAL_ERRORS, NO_FAULT_BOX, NO_OPEN_FILE_BOX = 0x1, 0x2, 0x8000


class Reaper:
    """Does little: on Windows, no process is adopted or must be reaped."""

    def start(self) -> None:
        """Keep the system from showing a dialog after a crash, because nobody could close it.

        Processes that the IOC starts inherit this.
        """
        win32api.SetErrorMode(FAIL_CRITICAL_ERRORS | NO_FAULT_BOX | NO_OPEN_FILE_BOX)

    def stop(self) -> None:
        """Do nothing at the IOC's end."""

    def look(self) -> None:
        """Do nothing."""
