"""`make run` on a machine that has several Pythons: the right one is used, a wrong one is named."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.installed.conftest import ROOT
from tests.process.scripts import interpreters

# Installs nothing, but says what it would.
PIP = "PIP=echo pip of $(VERSION):"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make install` reads of the source."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    return tmp_path


def make(clone: Path, *arguments: str) -> tuple[int, str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    environ.pop("PYTHON", None)
    done = subprocess.run(
        ["make", "--no-print-directory", "install", PIP, *arguments],
        cwd=clone,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def python(*version: int) -> str:
    """One of this machine's."""
    found = interpreters().get((version[0], version[1]))
    if found is None:
        pytest.skip(f"no Python {version[0]}.{version[1]} on this machine")
    return os.path.realpath(found)


def test_an_old_python_is_named(clone: Path) -> None:
    """With an old Python, `make` fails at once, names its version, and makes no environment."""
    code, output = make(clone, f"PYTHON={python(3, 10)}")
    assert code
    assert "is Python 3.10." in output
    assert "needs Python 3.11 or newer. Name one: make run PYTHON=" in output
    assert not (clone / ".venv").exists()


def test_no_python_is_named(clone: Path) -> None:
    """With a program that does not exist as Python, `make` fails in the same way."""
    code, output = make(clone, "PYTHON=/nowhere/python3")
    assert code
    assert "PYTHON=/nowhere/python3 cannot be run" in output


def test_another_python_gets_another_environment(clone: Path) -> None:
    """An environment of another Python is made anew; without PYTHON it is used as it is."""
    subprocess.run([python(3, 10), "-m", "venv", "--without-pip", clone / ".venv"], check=True)
    code, output = make(clone, f"PYTHON={python(3, 11)}")
    assert code == 0, output
    assert ".venv is an environment of Python 3.10." in output
    assert "pip of 3.11." in output
    code, output = make(clone, f"PYTHON={python(3, 12)}")
    assert code == 0, output
    assert "pip of 3.12." in output
    assert (clone / ".venv/bin/python3.12").exists()
    assert make(clone) == (0, "make: Nothing to be done for 'install'.\n")
