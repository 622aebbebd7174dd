"""`.ci/windows`: what it says and returns where the tests on Windows fail, hang or cannot be run.

`make`, Wine and `id` are doubles here: the script itself is what is tested.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CI = Path(__file__).parents[2] / ".ci"
TOOLS = ("grep", "sh", "sleep", "timeout", "tr")


class Machine:
    """A directory with the script, and the programs that it finds."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.programs = directory, directory / "programs"
        self.programs.mkdir()
        shutil.copytree(CI, directory / ".ci")
        for name in TOOLS:
            (self.programs / name).symlink_to(shutil.which(name) or name)
        self.has("id", "echo 0")
        self.has("make", "exit 0")
        self.has("python3.11", "echo 3.11.9")
        for name in ("wine", "x86_64-w64-mingw32-gcc"):
            self.has(name, "exit 0")

    def has(self, name: str, text: str) -> None:
        """Give it a program."""
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    def run(self, seconds: int = 720, **environ: str) -> tuple[int, str]:
        """Return the exit code of `.ci/windows`, and what it says on stderr."""
        done = subprocess.run(
            [self.directory / ".ci" / "windows", "venv", str(seconds)],
            env={"PATH": str(self.programs), **environ},
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    @contextmanager
    def process_of_wine(self, prefix: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a process of a drive C:, in a session of its own, as Wine's server is."""
        environ = {**os.environ, "WINEPREFIX": str(self.directory / prefix)}
        command = ["sleep", "1000"]
        with subprocess.Popen(command, env=environ, start_new_session=True) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("code", [0, 2])
def test_the_code_is_that_of_the_tests(machine: Machine, code: int) -> None:
    """Tests that pass or fail are told by the exit code of make, and by nothing else."""
    machine.has("make", f'[ "$1" = wine ] || exit {code}')
    assert machine.run(CI="true") == (code, "")


def test_tests_that_hang(machine: Machine) -> None:
    """They are ended with all of Wine that is theirs, which is an error, and said."""
    machine.has("make", '[ "$1" = wine ] || exec sleep 1000')
    with (
        machine.process_of_wine("venv/windows/prefix") as ours,
        machine.process_of_wine("other/windows/prefix") as other,
    ):
        code, said = machine.run(seconds=1)
        assert code == 124
        assert said.startswith("STOPPED after 1 s, which is an error: the tests on Windows.")
        assert ours.wait() == -9
        assert other.poll() is None


@pytest.mark.parametrize(
    ("ci", "user", "code"), [("true", 0, 1), ("true", 1000, 0), ("", 0, 0), ("", 1000, 0)]
)
@pytest.mark.parametrize("missing", ["wine", "x86_64-w64-mingw32-gcc"])
def test_a_machine_without_wine(
    machine: Machine, missing: str, ci: str, user: int, code: int
) -> None:
    """What is missing is said. That is an error in CI as root, who could have installed it."""
    (machine.programs / missing).unlink()
    machine.has("id", f"echo {user}")
    machine.has("make", '[ "$1" = wine ] || exit 99')
    found, said = machine.run(CI=ci)
    assert found == code
    assert said.startswith(f"NOT RUN: the tests on Windows, for want of: {missing}\n")
    assert ("CI=true: that is an error." in said) == (code == 1)


def test_wine_that_cannot_be_installed(machine: Machine) -> None:
    """A package server that fails is the same as a machine without Wine."""
    (machine.programs / "wine").unlink()
    machine.has("make", "exit 3")
    code, said = machine.run()
    assert code == 0
    assert said.startswith("Wine could not be installed.\nNOT RUN: ")
