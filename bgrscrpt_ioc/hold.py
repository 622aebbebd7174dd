"""What makes an instance this IOC's alone, on this host: locks, and an end to what is left over."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from pathlib import Path

from bgrscrpt_ioc import posix, posix_locks
from bgrscrpt_ioc.files import make_directory
from bgrscrpt_ioc.launch import COOKIE
from bgrscrpt_ioc.posix_mark import RUN_BITS, instance_mark, mark_on

PATIENCE = 5.0  # s: what SIGKILL has not ended by then hangs in the kernel

log = logging.getLogger("bgrscrpt_ioc.hold")


class TakenError(Exception):
    """Another IOC on this host serves the instance."""


class Hold:
    """Instances held by this process until it ends, however it ends."""

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []
        self._files: list[int] = []

    def take(self, key: str, lock: Path) -> None:
        """Take the instance `key` (`port/PVs' prefix`), whose state `lock` guards.

        Two, because neither is enough: IOCs with different state directories share no file, and
        an IOC in another container shares the directory but no socket.

        Raises:
            TakenError: another IOC has it.
        """
        claim = posix_locks.claim_name(key)
        if claim is None:
            raise TakenError(taken(key, posix_locks.claimed_by(key)))
        self._claims.append(claim)
        try:
            make_directory(lock.parent)
            file = posix_locks.lock_file(lock)
        except OSError as error:
            log.warning("%s: %s: IOCs in other containers are not kept out", lock, error)
            return
        if file is None:
            with contextlib.suppress(OSError):
                holder = lock.read_text().strip()
                raise TakenError(f"{shown(key)} is already served by the IOC with pid {holder}")
            raise TakenError(f"{shown(key)} is already served: {lock} is locked")
        self._files.append(file)
        with contextlib.suppress(OSError):  # a full disk: the pid is for people only
            os.truncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give all of them up."""
        for claim in self._claims:
            claim.close()
        for file in self._files:
            os.close(file)
        self._claims.clear()
        self._files.clear()


def taken(key: str, holder: tuple[int, int] | None) -> str:
    """What to tell who cannot have the instance `key`: the process (pid, uid) has its name.

    Anybody can take it, as anybody can take the port. Who that is, is for people to judge: to
    serve all the same would be to run the script twice, where it is an IOC.
    """
    if holder is not None and holder[1] == os.geteuid():
        return f"another IOC on this host already serves {shown(key)}, the process {holder[0]}"
    who = f"the process {holder[0]} of uid {holder[1]}" if holder else "a process of another user"
    return (
        f"{shown(key)} is taken by {who}: an IOC that serves it, or somebody who keeps its name on"
        " this host (sudo ss -xap | grep bgrscrpt_ioc); end it, or use another port"
    )


def shown(key: str) -> str:
    """An instance's key for people: `TE:NDW1234:BGRSCRPT_01 on port 5064`."""
    port, _, name = key.partition("/")
    return f"{name} on port {port}"


def sweep(keys: set[str]) -> int:
    """Kill what an earlier IOC left of these instances; return how many processes that were.

    With the guardian there should be none, but it can be killed too. An instance that is held has
    no other living IOC, so whoever carries its cookie is an orphan.
    """
    marks = {instance_mark(key) for key in keys}
    killed: set[int] = set()
    for _ in range(3):  # what forked while it was being killed
        found = {
            pid
            for pid, cookie in posix.started_with_any(COOKIE).items()
            if cookie.partition("/")[2].rpartition("/")[0] in keys
        }
        found |= {pid for pid in posix.processes() if mark_on(pid) >> RUN_BITS in marks}
        found.discard(os.getpid())  # an IOC that a script of such an instance has started
        if not found:
            break
        killed.update(found)
        if left := posix.kill_and_wait(found, PATIENCE):
            log.error("processes of an earlier run hang in the kernel: %s", left)
            break
    return len(killed)
