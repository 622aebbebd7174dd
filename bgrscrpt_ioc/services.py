"""What the instances of one IOC share."""

from __future__ import annotations

from dataclasses import dataclass

from bgrscrpt_ioc.guard import Guardian
from bgrscrpt_ioc.posix import Reaper
from bgrscrpt_ioc.posix_cgroup import Cgroups
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.usage import ProcessTable
from bgrscrpt_ioc.worker import Worker


@dataclass(frozen=True, slots=True)
class Services:
    """One of each, made by the IOC; `ioc_id` tells this IOC process from all others."""

    prefix: str
    ioc_id: str
    reaper: Reaper
    guardian: Guardian
    registry: Registry
    worker: Worker
    processes: ProcessTable
    cgroups: Cgroups | None = None  # where runs can have one
    strict: bool = False  # a script that others may change is not run
    open_config: str = ""  # that others may change the configuration
