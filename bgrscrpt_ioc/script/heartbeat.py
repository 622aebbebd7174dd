"""Counts how often the scripts of an instance have said that they are alive (PV HEARTBEAT)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Heartbeat:
    """The heartbeats of an instance, run after run. The count never goes back."""

    count: int = 0
    before: int = 0  # the count when the run began

    def begin(self) -> None:
        """Begin a run: its script counts from 1 again."""
        self.before = self.count

    def beat(self, count: int, calls: int = 1) -> int:
        """Add a heartbeat and return the instance's count.

        Args:
            count: the count of the process that called `alive()`, in this run.
            calls: how many calls the message stands for. A child of the script counts its own
                calls, so that its count may be lower than the script's.
        """
        self.count = min(max(self.count + calls, self.before + count), 2**31 - 1)  # longin
        return self.count
