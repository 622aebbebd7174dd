"""Locks of a file, or of a name on this host, that end with the process that has them. POSIX only.

This file does not know what is locked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_FAMILY = "bgrscrpt_ioc "


def lock_file(path: Path, mode: int) -> int | None:
    """Take an exclusive lock; return None if another process has it.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks (ENOLCK).
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError as error:
        os.close(fd)
        raise OSError(error.errno, f"cannot be locked: {error.strerror}", str(path)) from error
    return fd


def note_holder(descriptor: int) -> None:
    """Write this process's pid into a file that it has locked, so that people can read it."""
    with suppress(OSError):  # the disk is full
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def claim_name(name: str) -> socket.socket | None:
    """Claim a name on this host while the socket lives; return None if the name is taken.

    The claim is an abstract socket (unix(7)). It leaves no file behind, whatever directories others
    use. It has no owner and no permissions. So it does not listen, and nobody can connect or send
    to it.

    Raises:
        OSError: the name cannot be claimed for another reason.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0{_FAMILY}{name}")
    except OSError as error:
        claim.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return claim


def claimed_by(name: str) -> tuple[int, int] | None:
    """Return (pid, uid) of the process with the name; None if we may not look into that process."""
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines():
            fields = line.split(maxsplit=7)  # proc_pid_net(5): ... Type St Inode Path
            if fields[4] == "0001" and fields[7:] == [f"@{_FAMILY}{name}"]:
                return next((who for _, who in _holders({f"socket:[{fields[6]}]"})), None)
    return None


def claims() -> dict[str, tuple[int, int] | None]:
    """Return all names that are claimed on this host now, with (pid, uid) of who has each.

    None: a process that we may not look into, or of another container.
    """
    sockets: dict[str, str] = {}
    begin = f"@{_FAMILY}"
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines():
            fields = line.split(maxsplit=7)
            if len(fields) > 7 and fields[4] == "0001" and fields[7].startswith(begin):
                sockets[f"socket:[{fields[6]}]"] = fields[7].removeprefix(begin)
    found: dict[str, tuple[int, int] | None] = dict.fromkeys(sockets.values())
    for link, holder in _holders(set(sockets)):
        found[sockets[link]] = holder
    return found


def claimed_names() -> list[str]:
    """Return all names that are claimed on this host now. Anybody can claim any text."""
    begin = f"@{_FAMILY}"
    found: set[str] = set()
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines():
            fields = line.split(maxsplit=7)
            if len(fields) > 7 and fields[7].startswith(begin):
                found.add(fields[7].removeprefix(begin))
    return sorted(found)


def describe_holder(holder: tuple[int, int] | None) -> str:
    """Return who has a name, from `claimed_by`, and how to find out more.

    Anybody can take the name, as anybody can take the port. People must judge who that is: if it is
    an IOC, serving in spite of it would run the script twice.
    """
    if holder is not None and holder[1] == os.geteuid():
        return f"the process {holder[0]}"
    who = f"the process {holder[0]} of uid {holder[1]}" if holder else "a process of another user"
    return (
        f"{who}, an IOC that serves it or somebody who keeps its name on this host (sudo ss -xap |"
        " grep bgrscrpt_ioc): end it"
    )


def _holders(links: set[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield which of the links a process has open, each with its (pid, uid)."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # gone, or another user's
                for each in (process / "fd").iterdir():
                    if (link := os.readlink(each)) in links:  # noqa: PTH115 - text, not a path
                        yield link, (int(process.name), process.stat().st_uid)
