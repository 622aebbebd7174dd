"""Windows has no cgroups: the job of a run enforces its limits (job.py)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path


class Cgroup:
    """The group of one run, which never exists on Windows."""

    path = Path()


class Cgroups:
    """The groups of runs; `find_cgroups` never returns this."""

    controllers: Collection[str] = ()

    def of(self, key: str) -> Cgroup:  # noqa: ARG002 - the contract's
        """Return the group of an instance."""
        return Cgroup()

    def make(self, key: str, files: Mapping[str, str]) -> Cgroup:  # noqa: ARG002
        """Make the group of an instance."""
        return Cgroup()

    def end_leftovers(self, keys: Collection[str]) -> int:  # noqa: ARG002
        """Return how many processes of dead IOCs were killed: 0."""
        return 0


def find_cgroups(setting: str, ioc_id: str, warn: Callable[[str], None]) -> Cgroups | None:  # noqa: ARG001
    """Return None: there are no cgroups. The settings have already refused a directory."""
    return None
