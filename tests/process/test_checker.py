"""A script is checked by compiling it with its own interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.script.checker import check


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
    """A script that compiles has no problem, even if it would fail. No line of it runs."""
    script = tmp_path / "script.py"
    script.write_text(text)
    found = check(settings(tmp_path, script))
    assert len(found) == bool(problem)
    assert all(line.startswith(f"BGRSCRPT_01: {script}: {problem}") for line in found)


def test_check_of_no_file(tmp_path: Path) -> None:
    """A missing script is named, and so is a script that is a directory."""
    (line,) = check(settings(tmp_path, tmp_path / "none.py"))
    assert "can't open file" in line
    assert "No such file or directory" in line
    (line,) = check(settings(tmp_path, tmp_path))
    assert "Is a directory" in line


NO_PYTHON = {
    "/nowhere/python": "cannot run /nowhere/python: No such file or directory",
    "/bin/cat": "exit 1 before the script's first line: is `python` (/bin/cat) Python 3.8 or newer",
    "/bin/true": "exit 0 before the script's first line: is `python` (/bin/true) Python 3.8 or",
}


@pytest.mark.parametrize("python", NO_PYTHON)
def test_check_with_no_interpreter(tmp_path: Path, python: str) -> None:
    """A message says that a program cannot be run, or that it is no Python."""
    (tmp_path / "script.py").write_text("")
    (line,) = check(settings(tmp_path, tmp_path / "script.py", python))
    assert NO_PYTHON[python] in line


def test_check_with_a_directory(tmp_path: Path) -> None:
    """The directory of a virtual environment is no interpreter; the message names the one in it."""
    (tmp_path / "script.py").write_text("")
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    (line,) = check(settings(tmp_path, tmp_path / "script.py", str(tmp_path / "venv")))
    assert f"is a directory: set `python` to {tmp_path}/venv/bin/python" in line


def wrapper(tmp_path: Path, text: str) -> str:
    """A shell script in place of an interpreter."""
    (tmp_path / "script.py").write_text("")
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


WRAPPERS = {
    "hangs": ("sleep 1000", "did not check the script within 1 s"),
    "eats all": (f'cat >/dev/null; exec {sys.executable} "$@"', "leaves its stdin to Python"),
    "eats some": (f'head -c 1 >/dev/null; exec {sys.executable} "$@"', "has read its stdin"),
    "too old": ("echo 'Unknown option: -I' >&2; exit 2", "a Python that is too old: set `python`"),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_that_cannot_do(tmp_path: Path, name: str) -> None:
    """A wrapper that hangs, reads stdin, or starts an old Python is named, and why."""
    text, says = WRAPPERS[name]
    (line,) = check(settings(tmp_path, tmp_path / "script.py", wrapper(tmp_path, text)), patience=1)
    assert str(tmp_path / "python") in line or says in line
    assert says in line


CHATTY = ["echo 'activating base'", "printf 'activating base'", "printf '%4096s' x", "echo err >&2"]


@pytest.mark.parametrize("before", CHATTY)
def test_wrappers_that_print(tmp_path: Path, before: str) -> None:
    """What a wrapper prints before Python, with or without a newline, does not confuse a check."""
    python = wrapper(tmp_path, f'{before}; exec {sys.executable} "$@"')
    assert check(settings(tmp_path, tmp_path / "script.py", python)) == []
