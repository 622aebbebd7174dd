"""The script's file: when it is read again, and what git says of it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bgrscrpt_ioc.posix import Reaper
from bgrscrpt_ioc.scriptfile import git_revision, look, parse_status


@pytest.fixture
async def reaper() -> AsyncIterator[Reaper]:
    """A reaper on the test's loop."""
    reaper = Reaper()
    reaper.start()
    yield reaper
    reaper.stop()


def test_a_file_is_read_once_while_it_stays(tmp_path: Path) -> None:
    """An unchanged file is not read again; a changed one is."""
    script = tmp_path / "script.py"
    script.write_text("a")
    first = look(script)
    assert first.sha256 == hashlib.sha256(b"a").hexdigest()
    assert look(script, first) is first
    script.write_text("bb")
    assert look(script, first).sha256 == hashlib.sha256(b"bb").hexdigest()


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    """No file has no hash, so it differs from whatever runs."""
    assert look(tmp_path / "none").sha256 == ""


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    command = ["git", *identity, *arguments]
    return subprocess.run(
        command, cwd=directory, check=True, capture_output=True, text=True
    ).stdout.strip()


async def test_revision_of_a_script(tmp_path: Path, reaper: Reaper) -> None:
    """A clean script has its repository's revision, a modified one a `+` behind it."""
    script = tmp_path / "script.py"
    script.write_text("a")
    await asyncio.to_thread(git, tmp_path, "init", "-q")
    assert await git_revision(script, reaper) == ""  # nothing is committed yet
    await asyncio.to_thread(git, tmp_path, "add", "script.py")
    await asyncio.to_thread(git, tmp_path, "commit", "-qm", "x")
    revision = (await asyncio.to_thread(git, tmp_path, "rev-parse", "HEAD"))[:8]
    assert await git_revision(script, reaper) == revision
    script.write_text("b")
    assert await git_revision(script, reaper) == revision + "+"


async def test_no_revision_outside_git(tmp_path: Path, reaper: Reaper) -> None:
    """A script outside any repository has none."""
    assert await git_revision(tmp_path / "script.py", reaper) == ""


async def test_no_revision_without_git(
    tmp_path: Path, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine without git there is none either."""
    monkeypatch.setitem(os.environ, "PATH", str(tmp_path))
    assert await git_revision(tmp_path / "script.py", reaper) == ""


def test_status_of_a_script_that_git_does_not_know() -> None:
    """A file that was never added is not what the revision says."""
    assert parse_status(b"# branch.oid 0123456789ab\n# branch.head main\n? s.py\n") == "01234567+"
