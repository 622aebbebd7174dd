"""Ends what dead IOCs have left of an instance. With the guardian there should be nothing left."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection

from bgrscrpt_ioc.host.contract import COOKIE
from bgrscrpt_ioc.host.posix.mark import instance_mark, ioc_mark, mark_on, parts
from bgrscrpt_ioc.host.posix.processes import living, living_ids, processes, started_with_any
from bgrscrpt_ioc.host.posix.signals import kill_and_wait

PATIENCE = 5.0  # s after SIGKILL; a process that still lives hangs in the kernel

log = logging.getLogger("bgrscrpt_ioc.sweep")


def sweep(keys: Collection[str]) -> int:
    """Kill the orphans of the instances with these keys; return how many processes were killed.

    An orphan is a process of a run whose IOC process is dead. The IOC's id is in the cookie that
    the process was started with, and in the mark that it has inherited. Processes of a living IOC
    are left alone. That holds also if the IOC is in another network namespace, where name locks
    cannot be seen.
    """
    killed: set[int] = set()
    for _ in range(3):  # for processes that were forked while others were killed
        found = _by_cookie(keys) | _by_mark(keys)
        found.discard(os.getpid())  # this IOC was started by a script of such an instance
        if not found:
            break
        killed.update(found)
        if left := kill_and_wait(found, PATIENCE):
            log.error("processes of an earlier run hang in the kernel: %s", left)
            break
    return len(killed)


def _by_cookie(keys: Collection[str]) -> set[int]:
    owners: dict[int, str] = {}
    for pid, cookie in started_with_any(COOKIE).items():
        ioc, _, rest = cookie.partition("/")
        if rest.rpartition("/")[0] in keys:
            owners[pid] = ioc
    alive = living(owners.values())
    return {pid for pid, ioc in owners.items() if ioc not in alive}


def _by_mark(keys: Collection[str]) -> set[int]:
    instances = {instance_mark(key) for key in keys}
    owners: dict[int, int] = {}
    for pid in processes():
        instance, ioc = parts(mark_on(pid))
        if instance in instances:
            owners[pid] = ioc
    if not owners:
        return set()
    # Two of a million ids have the same mark. A process that may belong to a living IOC is left
    # alone.
    alive = {ioc_mark(each) for each in living_ids()}
    return {pid for pid, ioc in owners.items() if ioc not in alive}
