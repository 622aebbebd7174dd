"""Locks that end with the process that has them: of a file, and of a name on this host. POSIX only.

Nothing here knows what is locked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bgrscrpt_ioc.files import FILE_MODE

_FAMILY = "bgrscrpt_ioc "


def lock_file(path: Path) -> int | None:
    """Take an exclusive lock; None when another process has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def claim_name(name: str) -> socket.socket | None:
    """Claim a name on this host, for as long as the socket lives; None when it is taken.

    An abstract socket (unix(7)): no file to be left behind, whatever directory others work in. It
    has no owner and no permissions, so it does not listen: nobody can connect to it or send to it.

    Raises:
        OSError: it cannot be claimed for another reason.
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
    """(pid, uid) of who has claimed the name; None: a process that we may not look into."""
    with suppress(OSError):
        for line in Path("/proc/net/unix").read_text("utf-8", "replace").splitlines():
            fields = line.split(maxsplit=7)  # proc_pid_net(5): ... Type St Inode Path
            if fields[4] == "0001" and fields[7:] == [f"@{_FAMILY}{name}"]:
                return next(_holders(f"socket:[{fields[6]}]"), None)
    return None


def _holders(link: str) -> Iterator[tuple[int, int]]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # gone, or another user's
                if any(os.readlink(each) == link for each in (process / "fd").iterdir()):  # noqa: PTH115 - text, not a path
                    yield int(process.name), process.stat().st_uid
