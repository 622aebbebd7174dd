"""The script's file on disk: does it differ from what runs, and which revision is it?"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from bgrscrpt_ioc.command import run_command
from bgrscrpt_ioc.permissions import open_to_others
from bgrscrpt_ioc.posix import Reaper

GIT_TIMEOUT = 10.0  # s


@dataclass(frozen=True, slots=True)
class FileMark:
    """What tells, without reading it, that a file is still the one that was looked at."""

    inode: int
    size: int
    modified: int  # ns

    @classmethod
    def of(cls, path: Path) -> FileMark | None:
        """Look at a file; None when there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Look:
    """A file as it was found: None and "" when it could not be read."""

    mark: FileMark | None
    sha256: str
    open_to_others: str = ""  # that anybody may change it, and how to mend that


def look(path: Path, before: Look | None = None) -> Look:
    """Look at the file; read it only if its mark differs from that of `before`. May block."""
    mark, warning = FileMark.of(path), open_to_others(path)
    if before is not None and mark is not None and before.mark == mark:
        return (
            before if before.open_to_others == warning else replace(before, open_to_others=warning)
        )
    try:
        return Look(mark, hashlib.sha256(path.read_bytes()).hexdigest(), warning)
    except OSError:
        return Look(None, "", warning)


async def git_revision(path: Path, reaper: Reaper) -> str:
    """Short revision of the repository around a file, `+` if the file differs from it, else "".

    A repository that is another user's is none to git (safe.directory), and so none here.
    """
    command = ["git", "status", "--porcelain=v2", "--branch", "--", path.name]
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        async with asyncio.timeout(GIT_TIMEOUT):
            code, output = await run_command(command, reaper, cwd=path.parent, environ=environ)
    except (OSError, TimeoutError):
        return ""  # no git here, or a file system that does not answer
    return parse_status(output) if code == 0 else ""


def parse_status(output: bytes) -> str:
    """Read git-status(1)'s porcelain v2 of one file: `# branch.oid <hash>`, then its changes."""
    lines = output.decode("utf-8", "replace").splitlines()
    oid = next((line.split()[2] for line in lines if line.startswith("# branch.oid")), "(initial)")
    if oid == "(initial)":
        return ""
    return oid[:8] + ("+" if any(not line.startswith("#") for line in lines) else "")
