"""Reads the process table from /proc: which processes live, and which of them belong to a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Set
from pathlib import Path

from bgrscrpt_ioc.host.contract import Process
from bgrscrpt_ioc.host.posix.mark import mark_on

PROC = Path("/proc")
PAGE, TICKS = os.sysconf("SC_PAGESIZE"), os.sysconf("SC_CLK_TCK")
TRACKER = b"multiprocessing.resource_tracker"


def processes() -> dict[int, Process]:
    """Return the process table without zombies, which are dead and only not reaped."""
    found: dict[int, Process] = {}
    for entry in os.listdir(PROC):  # noqa: PTH208 - 3 x the speed, and this runs at every death
        if entry.isdigit():
            process = look_up(int(entry))
            if process is not None:
                found[process.pid] = process
    return found


def look_up(pid: int) -> Process | None:
    """Return one process; None if it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
            # proc(5): pid (comm) state ppid pgrp session ... starttime; comm may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    stopped = fields[0] in (b"T", b"t")
    return Process(
        pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        stopped=stopped,
        threads=int(fields[17]),
        memory=PAGE * int(fields[21]),
        cpu=(int(fields[11]) + int(fields[12])) / TICKS,
    )


def started_with(pid: int, variable: str) -> str:
    """Return the value of an environment variable that a process was started with, or ""."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    found = (b"\0" + environ).partition(b"\0" + variable.encode() + b"=")[2]
    return os.fsdecode(found.partition(b"\0")[0])


def own_id() -> str:
    """Return an id of this process that no other process has before the next boot."""
    own = look_up(os.getpid())
    return f"{os.getpid()}.{own.started if own else 0}"


def tree(
    leader: int,
    mark: tuple[str, str],
    known: Iterable[Process] = (),
    everyone: dict[int, Process] | None = None,
    *,
    number: int = 0,
    others: Collection[int] = (),
) -> dict[int, Process]:
    """Return the living processes of a run (of `everyone`, if that was read already).

    These are the processes of its session, all below it, and those that were `known` before. They
    also are processes that left the session and were adopted by us, the subreaper, if they were
    started with `mark` - a (variable, value) of the environment - or have inherited the `number` of
    `posix_mark`. `others` are children of ours that are known not to be adopted.
    """
    everyone = processes() if everyone is None else everyone
    children: dict[int, list[int]] = {}
    for process in everyone.values():
        children.setdefault(process.parent, []).append(process.pid)
    waiting = [p.pid for p in everyone.values() if leader in (p.session, p.pid)]
    waiting += [p.pid for p in known if everyone.get(p.pid, p).started == p.started]
    adopted = set(children.get(os.getpid(), ())) - {*waiting, *others}
    waiting += [
        pid
        for pid in adopted
        if started_with(pid, mark[0]) == mark[1] or (number and mark_on(pid) == number)
    ]
    found: dict[int, Process] = {}
    while waiting:
        pid = waiting.pop()
        if pid in everyone and pid not in found:
            found[pid] = everyone[pid]
            waiting += children.get(pid, ())
    return found


def has_adopted(known: Set[int]) -> bool:
    """Return whether we, the subreaper, have children that are not `known`.

    True if that is unclear.

    The kernel's list is complete, because only we take children from it, and we do not wait for any
    meanwhile. This is a hundred times faster than looking at all processes.
    """
    try:
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - as above
            with open(f"/proc/self/task/{task}/children", "rb") as file:  # noqa: PTH123 - as above
                if not known >= set(map(int, file.read().split())):
                    return True
    except OSError:  # a thread has ended meanwhile, or the kernel has no such list
        return True
    return False


def started_with_any(variable: str) -> dict[int, str]:
    """Return all processes of this host, except ours, that were started with a variable set."""
    found = {pid: started_with(pid, variable) for pid in processes() if pid != os.getpid()}
    return {pid: value for pid, value in found.items() if value}


def is_tracker(pid: int) -> bool:
    """Return whether it is multiprocessing's resource tracker, which frees what its users left.

    It ends by itself when the last user is dead. If it is killed, the shared memory stays.
    """
    with contextlib.suppress(OSError):
        return TRACKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def living(ids: Iterable[str]) -> set[str]:
    """Return those of these ids, made by `own_id`, whose processes live.

    A process in a container has its own pid there, but the same start time everywhere.
    """
    wanted = set(ids)
    found: set[str] = set()
    starts = {each.partition(".")[2] for each in wanted}
    for process in processes().values():
        if str(process.started) in starts:
            found |= {f"{pid}.{process.started}" for pid in _pids(process.pid)} & wanted
    return found


def living_ids() -> set[str]:
    """Return the ids of all living processes, in the form of `own_id`."""
    return {f"{pid}.{each.started}" for each in processes().values() for pid in _pids(each.pid)}


def ids_of(pid: int) -> list[str]:
    """Return the id of a process, as `own_id` makes it there; several, if it may be in a container.

    There is none if the process does not live.
    """
    found = look_up(pid)
    return [] if found is None else [f"{each}.{found.started}" for each in {*_pids(pid)}]


def _pids(pid: int) -> list[str]:
    """Return the pids of a process, in our pid namespace and in those within (proc(5), NSpid)."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
        return [str(pid), *status.partition("\nNSpid:")[2].partition("\n")[0].split()]
    return [str(pid)]
