"""Keeps an instance for this IOC on this host, by a name that it claims and a file it locks."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path

from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.contract import ClaimedName
from bgrscrpt_ioc.host.files import FILE_MODE, make_directory

_KEY = re.compile(r"([0-9]{1,5})/([A-Za-z0-9_\-+:\[\]<>;]{1,60})")

log = logging.getLogger("bgrscrpt_ioc.hold")


class TakenError(Exception):
    """Another IOC on this host serves the instance."""


class Hold:
    """The instances that this process holds until it ends, however it ends."""

    def __init__(self) -> None:
        self._claims: dict[str, ClaimedName] = {}
        self._files: dict[str, int] = {}

    def take(self, key: str, lock: Path, *, force: bool = False) -> None:
        """Take the instance `key` (`port/PVs' prefix`), whose state the file `lock` guards.

        Both are needed: IOCs with different state directories share no file, and an IOC in another
        container shares the directory but no name. With `force`, a name that is taken causes only a
        warning. Two IOCs never write one state.

        Raises:
            TakenError: another IOC has it; nothing of it is held then.
        """
        claim = system.claim_name(key)
        if claim is not None:
            self._claims[key] = claim
        elif force:
            log.warning("%s; served all the same, because it is forced", taken(key))
        else:
            raise TakenError(taken(key))
        try:
            make_directory(lock.parent)
            file = system.lock_file(lock, FILE_MODE)
        except OSError as error:
            log.warning("%s: %s: IOCs in other containers would not be noticed", lock, error)
            return
        if file is None:
            self.release(key)
            raise TakenError(locked(key, lock))
        self._files[key] = file
        system.note_holder(file)

    def release(self, *keys: str) -> None:
        """Give up the instances `keys`, or all of them."""
        for key in keys or {*self._claims, *self._files}:
            if (claim := self._claims.pop(key, None)) is not None:
                claim.close()
            if (file := self._files.pop(key, None)) is not None:
                os.close(file)


def held_on_this_host() -> list[tuple[int, str]]:
    """Return (port, PVs' prefix with the instance's name) of every instance that an IOC holds.

    Any user of the host can claim any text, so texts that cannot be a PV are left out.
    """
    matches = map(_KEY.fullmatch, system.claimed_names())
    return [(int(found[1]), found[2]) for found in matches if found]


def holders_on_this_host() -> dict[tuple[int, str], int]:
    """Return the process that holds each instance, by (port, PVs' prefix with its name).

    0: a process of another user, or of another container.
    """
    found: dict[tuple[int, str], int] = {}
    for key, holder in system.claims().items():
        if match := _KEY.fullmatch(key):
            found[int(match[1]), match[2]] = holder[0] if holder else 0
    return found


def taken(key: str) -> str:
    """Return a message: who has the name of the instance, and what to do."""
    holder = system.describe_holder(system.claimed_by(key))
    return f"{shown(key)} is already served on this host by {holder}"


def locked(key: str, lock: Path) -> str:
    """Return a message: who has the state of the instance, and what to do."""
    holder = ""
    with contextlib.suppress(OSError, ValueError):
        holder = f" with pid {int(lock.read_text())}"
    return (
        f"the state of {shown(key)} is in use by another IOC{holder} ({lock} is locked): end that"
        " IOC, or set another `state_dir`"
    )


def shown(key: str) -> str:
    """Return an instance's key for people: `TE:NDW1234:BGRSCRPT_01 on port 5064`."""
    port, _, name = key.partition("/")
    return f"{name} on port {port}"
