"""Chooses for each run how its limits are enforced on this host.

limits.py knows what a limit means; the host makes the cgroups.
"""

from __future__ import annotations

import logging
from typing import Protocol

from bgrscrpt_ioc.host.system import HELD, Cgroups
from bgrscrpt_ioc.limits.limits import (
    Confinement,
    Limits,
    cgroup_files,
    described,
    mechanisms,
    rlimits,
)

log = logging.getLogger("bgrscrpt_ioc.limits")


class Limited(Protocol):
    """The settings that confine an instance."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as in the settings
    @property
    def limits(self) -> Limits: ...  # noqa: D102
    @property
    def nice(self) -> int: ...  # noqa: D102


def confinement(instance: Limited, key: str, cgroups: Cgroups | None, *, now: bool) -> Confinement:
    """Return how one run of the instance `key` is confined. With `now`, its cgroup is made."""
    limits = instance.limits
    if cgroups is not None:
        controllers = cgroups.controllers
        try:
            group = cgroups.of(key)
            if now:
                cgroups.make(key, cgroup_files(limits, controllers))
        except OSError as error:
            log.warning("%s: no cgroup for this run: %s", instance.name, error)
        else:
            by_rlimit = rlimits(limits, controllers)
            return Confinement(limits, str(group.path), by_rlimit, instance.nice)
    return Confinement(limits, "", rlimits(limits, ()), instance.nice)


def say_how(instance: Limited, cgroups: Cgroups | None) -> None:
    """Log by which mechanism each limit is enforced."""
    found = mechanisms(instance.limits, cgroups.controllers if cgroups else ())
    found |= {key: HELD[key] for key in found.keys() & HELD.keys()}
    if found:
        log.info("%s: %s", instance.name, described(found))
