"""Puts the limits of an instance and what this host can enforce together, for each of its runs.

What a limit means is limits.py's, how a cgroup is made posix_cgroup.py's.
"""

from __future__ import annotations

import logging

from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.limits import Confinement, cgroup_files, described, mechanisms, rlimits
from bgrscrpt_ioc.posix_cgroup import Cgroups

log = logging.getLogger("bgrscrpt_ioc.limits")


def confinement(
    instance: InstanceSettings, key: str, cgroups: Cgroups | None, *, now: bool
) -> Confinement:
    """Confine one run of the instance `key`: in a cgroup, if there are any; made if it is `now`."""
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


def say_how(instance: InstanceSettings, cgroups: Cgroups | None) -> None:
    """Log by which mechanism each limit is enforced."""
    found = mechanisms(instance.limits, cgroups.controllers if cgroups else ())
    if found:
        log.info("%s: %s", instance.name, described(found))
