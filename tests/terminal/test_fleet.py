"""`status` of several IOCs: from a file, by prefixes, and by the PV IOC:INSTANCES."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.rig.ca import DEADLINE, ca_environ
from benchmarks.rig.iocs import COMMAND, Ioc
from tests.terminal.tmux import Terminal

A, B, C = "TE:FLEETA:", "TE:FLEETB:", "TE:FLEETC:"
CLIENT = [COMMAND[0], "-m", "bgrscrpt_ioc"]


@dataclass
class Fleet:
    """Two IOCs: A with two stopped instances, B with a failed one. An IOC C does not exist."""

    directory: Path
    one: Ioc
    two: Ioc

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of a client that knows no port."""
        kept = ca_environ(self.one.port)
        return {key: value for key, value in kept.items() if not key.startswith("EPICS_")}

    def status(self, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
        """Return the exit code, and for each instance its state and where it was found."""
        done = subprocess.run(
            [*CLIENT, "status", "--json", *arguments],
            env=self.environ,
            cwd=self.directory,
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert "Traceback" not in done.stderr
        rows = json.loads(done.stdout)
        return done.returncode, {
            row["PREFIX"] + row["NAME"]: (row["STATUS"], row["FOUND"]) for row in rows
        }


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("fleet")
    (directory / "bad.py").write_text("raise ValueError('bad')\n")
    (directory / "good.py").write_text("import time\nwhile True:\n    time.sleep(1000)\n")
    (directory / "a.toml").write_text(
        f'prefix = "{A}"\n[defaults]\nscript = "good.py"\nat_start = "stop"\n'
        "[instance.BGRSCRPT_01]\n[instance.BGRSCRPT_02]\n"
    )
    with ExitStack() as stack:
        one = stack.enter_context(Ioc(directory, "--config", "a.toml"))
        (directory / "b").mkdir()
        options = ("--prefix", B, "--start-limit", "1", "--state-dir", directory / "b")
        two = stack.enter_context(Ioc(directory, "bad.py", *options))
        (directory / "fleet.toml").write_text(
            f'hosts = ["127.0.0.1"]\nport = {one.port}\n'
            f'[ioc.A]\nprefix = "{A}"\n'
            f'[ioc.B]\nprefix = "{B}"\nhosts = ["localhost:{two.port}"]\n'
            f'[ioc.C]\nprefix = "{C}"\n'
        )
        one.ready()
        two.ready().wait_for("gave up after 1")
        yield Fleet(directory, one, two)


def test_the_file_of_a_fleet(fleet: Fleet) -> None:
    """`--fleet` asks IOCs at several ports; each names its instances; Failed sets the exit code."""
    code, rows = fleet.status("--fleet", "fleet.toml")
    assert code == 3
    assert rows == {
        f"{A}BGRSCRPT_01": ("Stopped", "fleet.toml"),
        f"{A}BGRSCRPT_02": ("Stopped", "IOC:INSTANCES"),
        f"{B}BGRSCRPT_01": ("Failed", "fleet.toml"),
        f"{C}BGRSCRPT_01": (None, "fleet.toml"),
    }
    code, rows = fleet.status("--fleet", "fleet.toml", A, C)
    assert (code, len(rows)) == (4, 3)
    code, rows = fleet.status("--fleet", "fleet.toml", A)
    assert (code, len(rows)) == (0, 2)


def test_prefixes(fleet: Fleet) -> None:
    """`status PREFIX ...` shows the instances of IOCs of this host, whatever their ports."""
    assert fleet.status(A, B) == (
        3,
        {
            f"{A}BGRSCRPT_01": ("Stopped", "this host"),
            f"{A}BGRSCRPT_02": ("Stopped", "this host"),
            f"{B}BGRSCRPT_01": ("Failed", "this host"),
        },
    )


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux: run `make system`")
def test_watching(fleet: Fleet, tmp_path: Path) -> None:
    """`--watch` draws failed ones first, shows what changes, and leaves the terminal as it was."""
    command = [*CLIENT, "status", A, B, "--watch"]
    started: list[int] = []

    def seen(text: str) -> bool:
        if "Failed" in text and "Stopped" in text and not started:
            options = ["BGRSCRPT_02", "--prefix", A, "--port", str(fleet.one.port)]
            started.append(subprocess.call([*CLIENT, "start", *options], env=fleet.environ))
        return "Running" in text

    with Terminal(tmp_path / "tmux", 80, 24) as terminal:
        text, code = terminal.run(command, fleet.environ, fleet.directory, seen, live=True)
        after, _ = terminal.run(
            ["sh", "-c", 'echo before; "$@"', "sh", *command],
            fleet.environ,
            fleet.directory,
            lambda text: "Failed" in text,
        )
    assert (code, started) == (130, [0])
    names = [line.split()[0] for line in text.splitlines() if line.startswith("TE:")]
    assert names == [f"{B}BGRSCRPT_01", f"{A}BGRSCRPT_01", f"{A}BGRSCRPT_02"]
    assert after.split() in (["before"], ["before", "^C"])
    done = subprocess.run(command, env=fleet.environ, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("command line: --watch: needs a terminal")
