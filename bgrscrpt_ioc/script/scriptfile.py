"""Watches the script's file: does it differ from the text that runs, and which revision is it?"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bgrscrpt_ioc.host.digest import sha256_of
from bgrscrpt_ioc.host.files import NotAFileError, read_regular
from bgrscrpt_ioc.host.permissions import open_to_others
from bgrscrpt_ioc.host.system import Reaper, run_tool
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.output.output import Publish

READINGS = ("SCRIPT", "SCRIPT:CHANGED", "SCRIPT:MSG")
GIT_TIMEOUT = 10.0  # s
FRESH = 3.0  # s: file times of FAT have steps of 2 s, and those of a network disk may be as old

log = logging.getLogger("bgrscrpt_ioc.script")


@dataclass(frozen=True, slots=True)
class FileMark:
    """Marks a file, so that a change is seen without reading the file."""

    inode: int
    size: int
    modified: int  # ns

    @classmethod
    def of(cls, path: Path) -> FileMark | None:
        """Return the mark of a file, or None if there is no file."""
        try:
            found = path.stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class FileLook:
    """A file as it was found; None and "" if it could not be read."""

    mark: FileMark | None
    sha256: str
    open_to_others: str = ""  # says that anybody may change the file, and the remedy
    problem: str = ""  # says that this is no regular file
    fresh: bool = False  # changed so lately that another text may have the same mark


def look(path: Path, before: FileLook | None = None) -> FileLook:
    """Look at the file; read it only if its mark differs from that of `before`. May block."""
    mark, warning = FileMark.of(path), open_to_others(path)
    if before is not None and mark is not None and before.mark == mark and not before.fresh:
        return (
            before if before.open_to_others == warning else replace(before, open_to_others=warning)
        )
    fresh = mark is not None and time.time() - mark.modified / 1e9 < FRESH
    try:
        sha256 = sha256_of(read_regular(path))
        return FileLook(mark, sha256, warning, fresh=fresh)
    except NotAFileError as error:
        return FileLook(
            None, "", warning, f"{path} {error.strerror}: set `script` to a Python file"
        )
    except OSError:
        return FileLook(None, "", warning)


def read_text(path: Path, sha256: str) -> bytes | None:
    """Return the text of the file, if its SHA-256 is still this one. May block."""
    try:
        data = read_regular(path)
    except OSError:
        return None
    return data if sha256_of(data) == sha256 else None


async def git_revision(path: Path, reaper: Reaper) -> str:
    """Return the short git revision of a file, with `+` if the file was changed; "" without git.

    Git does not read another user's repository (safe.directory), so the answer is "" for those too.
    """
    # With -C, because git's launch must not wait for a directory whose disk hangs.
    command = ["git", "-C", str(path.parent), "status", "--porcelain=v2", "--branch", "--"]
    command.append(path.name)
    environ = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        async with asyncio.timeout(GIT_TIMEOUT):
            code, output = await run_tool(command, reaper, cwd=Path(path.root), environ=environ)
    except (OSError, TimeoutError):
        return ""  # no git here, or a file system that does not answer
    return parse_status(output) if code == 0 else ""


def parse_status(output: bytes) -> str:
    """Return the revision in the output of `git status --porcelain=v2` for one file.

    The output is `# branch.oid <hash>`, and then the changes of the file.
    """
    lines = output.decode("utf-8", "replace").splitlines()
    oid = next((line.split()[2] for line in lines if line.startswith("# branch.oid")), "(initial)")
    if oid == "(initial)":
        return ""
    return oid[:8] + ("+" if any(not line.startswith("#") for line in lines) else "")


class ScriptFile:
    """One instance's script file: publishes SCRIPT, SCRIPT:MSG, SCRIPT:CHANGED and SCRIPT:GIT."""

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        worker: Worker,
        reaper: Reaper,
        publish: Publish,
        open_config: str = "",
    ) -> None:
        """Prepare; nothing was looked at.

        `open_config` says that others may change the configuration.
        """
        self._name, self._path, self._open_config = name, path, open_config
        self._worker, self._reaper, self._publish = worker, reaper, publish
        self._loop = asyncio.get_running_loop()
        self._found: FileLook | None = None
        self._running = ""  # SHA-256 of the text that runs or ran last
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}  # looks that somebody waits for
        self._warned = ""
        self._changed, self._hung = False, ""
        self._verdict, self._bad = "", False  # what was found of the text that waits in the file
        worker.hung = self._hangs

    def take(self, path: Path, open_config: str) -> None:
        """Look at this file from the next look on; `open_config` as at the begin."""
        if path != self._path:
            self._path, self._found, self._verdict, self._bad = path, None, "", False
        self._open_config = open_config

    def runs(self, sha256: str) -> None:
        """Note that this text runs from now on."""
        self._running = sha256
        self._publish("SCRIPT:SHA256", sha256)
        self.judge("")

    def judge(self, verdict: str, *, bad: bool = False) -> None:
        """Show in SCRIPT:MSG what was found of a text that does not run yet.

        "" if there is no such text.
        """
        if (verdict, bad) != (self._verdict, self._bad):
            self._verdict, self._bad = verdict, bad
            self._show()

    @property
    def now(self) -> tuple[str, str]:
        """Return the SHA-256 of the file at the last look, and of the text that ran last."""
        return (self._found.sha256 if self._found else "", self._running)

    def get_text(self, sha256: str, then: Callable[[bytes | None], None]) -> None:
        """Read the file, and call `then` with it; with None if it is not what has this SHA-256."""
        path = self._path
        self._worker.do(f"read the script of {self._name}", lambda: read_text(path, sha256), then)

    def look(self) -> asyncio.Future[None]:
        """Look at the disk, by the worker; what is returned is done when the PVs are current."""
        self._asked += 1
        number, path, before = self._asked, self._path, self._found
        done = self._waiting[number] = self._loop.create_future()
        self._worker.do(
            f"look at the script of {self._name}",
            lambda: look(path, before),
            lambda found: self._looked(number, found),
        )
        return done

    def _looked(self, number: int, found: FileLook) -> None:
        self._found = found
        texts = (found.problem, found.open_to_others, self._open_config)
        warning = "; ".join(filter(None, texts))
        if warning and warning != self._warned:
            log.warning("%s: %s", self._name, warning)
        self._warned = warning
        self._changed = bool(self._running) and found.sha256 != self._running
        self._show()
        # The worker skips looks that a later look replaces, so this look answers for those before
        # it.
        for each in [asked for asked in self._waiting if asked <= number]:
            done = self._waiting.pop(each)
            if not done.done():
                done.set_result(None)

    def _hangs(self, problem: str) -> None:
        """Say whether the disk of the instance's files hangs: what is shown may then be old."""
        self._hung = problem
        self._show()

    def _show(self) -> None:
        text = "; ".join(filter(None, (self._hung, self._verdict, self._warned)))
        good = not (self._hung or self._bad or self._warned)
        severity = Severity.NO_ALARM if good else Severity.MINOR
        self._publish("SCRIPT", str(self._path), severity)
        self._publish("SCRIPT:MSG", text, severity)
        old = Severity.MINOR if self._hung else Severity.NO_ALARM
        self._publish("SCRIPT:CHANGED", int(self._changed), old)

    async def show_revision(self) -> None:
        """Publish SCRIPT:GIT."""
        self._publish("SCRIPT:GIT", await git_revision(self._path, self._reaper))
