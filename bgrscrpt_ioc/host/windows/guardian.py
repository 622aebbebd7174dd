"""Nothing survives the IOC: the kernel closes its handles, and with its last handle a job ends."""

from __future__ import annotations

from collections.abc import Sequence

from bgrscrpt_ioc.host.windows.reaper import Reaper


class Guardian:
    """Has nothing to do: see job.py."""

    pid = 0  # there is no such process

    def __init__(self, reaper: Reaper, ioc_id: str, cgroups: Sequence[str] = ()) -> None:
        """Take what a guardian would need."""

    def start(self) -> None:
        """Begin."""

    def open(self, session: int, mark: int) -> None:
        """Hear of a run."""

    def add_cgroup(self, cgroup: str) -> None:
        """Hear of a control group: there are none."""

    def close(self, session: int) -> None:
        """Hear of its end."""

    def stop(self) -> None:
        """End."""
