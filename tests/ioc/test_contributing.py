"""CONTRIBUTING.md is true: its lines, applied to a copy of the package, make a PV and a setting."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import bgrscrpt_ioc
from benchmarks.rig.ca import Client, ca_environ
from benchmarks.rig.iocs import FOREVER, Ioc

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
DIFF = re.compile(r"^```diff (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A directory with a copy of the package, to which the page's lines are applied."""
    package = Path(bgrscrpt_ioc.__file__).parent
    shutil.copytree(package, tmp_path / "copy" / package.name)
    for file, diff in DIFF.findall(PAGE.read_text()):
        path = tmp_path / "copy" / file
        context, added = diff.splitlines()
        text = path.read_text()
        assert text.count(context[1:]) == 1, f"CONTRIBUTING.md: no such line in {file}: {context}"
        text = text.replace(context[1:], f"{context[1:]}\n{added[1:]}")
        if "socket." in added:
            text = text.replace("import logging\n", "import logging\nimport socket\n", 1)
        path.write_text(text)
    return tmp_path / "copy"


def test_a_pv_and_a_setting(copy: Path, tmp_path: Path) -> None:
    """The page's two lines make a PV that clients can read; its one field makes an option."""
    script = tmp_path / "script.py"
    script.write_text(FOREVER)
    run = (sys.executable, "-P", "-m", "bgrscrpt_ioc", "run")
    state = ("--state-dir", tmp_path / "state")
    environ = {"PYTHONPATH": str(copy)}
    command = (*run, *state, "--prefix", "TE:", "--umask", "2", script)
    with (
        Ioc(tmp_path, environ=environ, command=command) as ioc,
        Client(ioc.ready().port) as client,
    ):
        assert client.get("TE:BGRSCRPT_01:HOSTNAME") == socket.gethostname()
    told = subprocess.run(
        [*run, "--help"], env=ca_environ(1) | environ, capture_output=True, text=True, check=True
    )
    assert "--umask" in told.stdout
