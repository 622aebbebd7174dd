"""Sets up the system for the processes that the IOC starts. Each tree waits for its own."""

from __future__ import annotations

import win32api

FAIL_CRITICAL_ERRORS, NO_FAULT_BOX, NO_OPEN_FILE_BOX = 0x1, 0x2, 0x8000


class Reaper:
    """Does little: on Windows nobody adopts processes, and none must be reaped."""

    def start(self) -> None:
        """Keep the system from showing a dialog after a crash, which nobody could close.

        The processes that this process starts inherit that.
        """
        win32api.SetErrorMode(FAIL_CRITICAL_ERRORS | NO_FAULT_BOX | NO_OPEN_FILE_BOX)

    def stop(self) -> None:
        """End."""

    def look(self) -> None:
        """Do nothing."""
