"""Modules in PYTHONPATH and in the working directory reach scripts, and never the IOC."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bgrscrpt_ioc
from benchmarks.rig.ca import free_port
from benchmarks.rig.iocs import Ioc
from tests.installed.conftest import Installed

SHADOWS = ("asyncio", "argparse", "numpy", "pydantic", "json", "logging", "caproto", "epics")
SCRIPT = """
import asyncio, numpy
print("scripts get", asyncio.WHOSE, numpy.WHOSE, flush=True)
import time
time.sleep(1000)
"""
BROKEN = "raise ImportError('a module of others was imported by the IOC')\n"


@pytest.fixture
def shadows(tmp_path: Path) -> Path:
    """A directory of modules that nobody but a script may import."""
    directory = tmp_path / "shadows"
    directory.mkdir()
    guard = "import os\nif 'BGRSCRPT_RUN' not in os.environ:\n    "
    for name in SHADOWS:
        (directory / f"{name}.py").write_text(f"{guard}{BROKEN}WHOSE = 'theirs'\n")
    return directory


@pytest.mark.parametrize("how", ["command", "module", "isolated module"])
def test_pythonpath_is_for_scripts(
    how: str, from_wheel: Installed, shadows: Path, tmp_path: Path
) -> None:
    """The IOC serves whatever is in PYTHONPATH, and its script imports from there."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = {
        "command": (from_wheel.command,),
        "module": (from_wheel.python, "-m", "bgrscrpt_ioc"),
        "isolated module": (from_wheel.python, "-I", "-m", "bgrscrpt_ioc"),
    }[how]
    environ = {"PYTHONPATH": f"{tmp_path}/nothing:{shadows}"}
    arguments = ("run", script, "--state-dir", tmp_path / "state", "--python", sys.executable)
    with Ioc(tmp_path, command=(*command, *arguments), environ=environ) as ioc:
        ioc.ready().wait_for("scripts get theirs theirs\n")
        assert ioc.end() == 0


@pytest.mark.parametrize("module", [False, True])
def test_the_working_directory_is_for_scripts(
    module: bool, from_wheel: Installed, shadows: Path
) -> None:
    """A command works in a directory that has modules with the names of libraries."""
    how = (from_wheel.python, "-m", "bgrscrpt_ioc") if module else (from_wheel.command,)
    done = subprocess.run(
        [*how, "status", "--port", str(free_port())],
        cwd=shadows,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.partition(" for ")[0]) == (4, "no answer")


def test_a_package_found_by_pythonpath(tmp_path: Path) -> None:
    """If PYTHONPATH names a source tree of the package, that package runs."""
    package = tmp_path / "bgrscrpt_ioc"
    package.symlink_to(Path(bgrscrpt_ioc.__file__).parent)
    command = [sys.executable, "-m", "bgrscrpt_ioc", "--version"]
    environ = {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"bgrscrpt-ioc {bgrscrpt_ioc.__version__}\n"
