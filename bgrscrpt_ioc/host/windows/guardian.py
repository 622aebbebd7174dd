"""No guardian is needed: at the IOC's end the kernel closes its handles, and so ends its jobs."""

from __future__ import annotations

from collections.abc import Sequence

from bgrscrpt_ioc.host.windows.reaper import Reaper


class Guardian:
    """Does nothing: see job.py."""

    pid = 0  # there is no guardian process

    def __init__(self, reaper: Reaper, ioc_id: str, cgroups: Sequence[str] = ()) -> None:
        """Take the arguments of the contract."""

    def start(self) -> None:
        """Do nothing."""

    def open(self, session: int, mark: int) -> None:
        """Ignore the start of a run."""

    def add_cgroup(self, cgroup: str) -> None:
        """Ignore a control group."""

    def close(self, session: int) -> None:
        """Ignore the end of a run."""

    def stop(self) -> None:
        """Do nothing at the IOC's end."""
