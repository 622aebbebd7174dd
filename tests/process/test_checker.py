"""Compiling a script with its own interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bgrscrpt_ioc.checker import check
from bgrscrpt_ioc.config.settings import InstanceSettings, IocSettings


def settings(tmp_path: Path, script: Path, python: str = sys.executable) -> IocSettings:
    instance = InstanceSettings(
        name="BGRSCRPT_01", script=script, python=Path(python), cwd=tmp_path
    )
    return IocSettings(
        registry="sqlite:////dev/null", log_dir=tmp_path, state_dir=tmp_path, instances=(instance,)
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("print('hello')", ""),
        ("import nothing_of_that_name", ""),
        ("def f(:", "SyntaxError: invalid syntax (script.py:1)"),
        ("# coding: nonsense", "SyntaxError: unknown encoding: nonsense"),
    ],
)
def test_check(tmp_path: Path, text: str, problem: str) -> None:
    """A script that compiles has no problem, also one that would fail; nothing of it is run."""
    script = tmp_path / "script.py"
    script.write_text(text)
    found = check(settings(tmp_path, script))
    assert len(found) == bool(problem)
    assert all(line.startswith(f"BGRSCRPT_01: {script}: {problem}") for line in found)


def test_check_of_no_file(tmp_path: Path) -> None:
    """A missing script is named, and so is one that is a directory."""
    (line,) = check(settings(tmp_path, tmp_path / "none.py"))
    assert "can't open file" in line
    assert "No such file or directory" in line
    (line,) = check(settings(tmp_path, tmp_path))
    assert "Is a directory" in line


def test_check_with_no_interpreter(tmp_path: Path) -> None:
    """What cannot be run, and what is no Python, is said so."""
    (tmp_path / "script.py").write_text("")
    (line,) = check(settings(tmp_path, tmp_path / "script.py", "/nowhere/python"))
    assert "cannot run /nowhere/python: No such file or directory" in line
    (line,) = check(settings(tmp_path, tmp_path / "script.py", "/bin/cat"))
    assert "exit 1" in line


def test_check_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that hangs is killed, and named."""
    monkeypatch.setattr("bgrscrpt_ioc.checker.TIMEOUT", 0.2)
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nsleep 1000\n")
    hangs.chmod(0o755)
    (line,) = check(settings(tmp_path, tmp_path / "script.py", str(hangs)))
    assert "did not compile it within 0.2 s" in line
