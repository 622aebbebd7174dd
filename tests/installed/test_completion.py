"""Completion in real shells, by the script that the installed command prints."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.installed.conftest import Installed

# What bash does when the user presses the tab key behind COMP_LINE.
BASH = """
eval "$(bgrscrpt-ioc completion bash)"
complete -p bgrscrpt-ioc >/dev/null
function press_tab {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
    COMPREPLY=()
    $(complete -p bgrscrpt-ioc | sed 's/.*-F \\([^ ]*\\) .*/\\1/') bgrscrpt-ioc "${@: -1}" "$1"
    echo "${COMPREPLY[@]}"
}
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("sta",), {"status", "start", "stack"}),
        (("run", "--memory-m"), {"--memory-max"}),
        (("completion", ""), {"bash", "zsh"}),
        (("files", "iocdb"), {"iocdb.sql"}),
        (("deploy", "kube"), {"kubernetes"}),
        (("deploy", "ibex", "--inst"), {"--instances"}),
        (("check", "--config", "inst"), {"instrument.toml"}),
    ],
)
def test_bash(
    words: tuple[str, ...], completed: set[str], from_wheel: Installed, tmp_path: Path
) -> None:
    """In bash, commands, options, choices and paths are completed."""
    (tmp_path / "instrument.toml").touch()
    done = subprocess.run(
        ["bash", "-c", f'{BASH}press_tab bgrscrpt-ioc "$@"', "bash", *words],
        env={**os.environ, "PATH": f"{from_wheel.command.parent}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == completed, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_syntax(shell: str, from_wheel: Installed) -> None:
    """The completion script has valid syntax for its shell."""
    made = subprocess.run(
        [from_wheel.command, "completion", shell], capture_output=True, check=True
    )
    assert made.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: sudo apt-get install {shell}")
    subprocess.run([shell, "-n"], input=made.stdout, check=True)
