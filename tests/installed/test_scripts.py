"""Scripts under an installed IOC, by every Python of the machine, which has nothing of ours."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks.rig.ca import ca_environ, free_port
from benchmarks.rig.iocs import Ioc, until
from tests.installed.conftest import Installed
from tests.process.scripts import candidates

OLDEST = (3, 8)
SCRIPT = """
import sys
import bgrscrpt
from server_common.helpers import register_ioc_start
register_ioc_start({name!r})
bgrscrpt.message("at work")
bgrscrpt.progress(50)
import os.path
print("IOC started by", os.path.realpath(sys.executable), flush=True)
import time
while True:
    time.sleep(1000)
"""


ASK = f"""
import os, sys
if sys.version_info >= {OLDEST} and sys.prefix == sys.base_prefix:
    print(os.path.realpath(sys.executable))
"""


def foreign() -> dict[str, str]:
    """Find the Pythons of the machine that scripts may run by, none of them a virtual environment.

    Returns them by the name of the instance that is to run by each.
    """
    found: set[str] = set()
    for path in (Path("/usr/bin/python3"), *candidates()):
        if path.exists():
            told = subprocess.run(
                [path, "-c", ASK], capture_output=True, text=True, check=False, timeout=30
            )
            found |= {line for line in told.stdout.splitlines() if Path(line).is_file()}
    return {f"BGRSCRPT_{at:02}": path for at, path in enumerate(sorted(found), 1)}


def test_every_python_runs_scripts(installed: Installed, tmp_path: Path) -> None:
    """With every Python, a script runs, sends a message, registers, prints, and is stopped."""
    pythons = foreign()
    assert pythons, "no Python but the tests' own"
    lines = [f'prefix = "TE:"\nstate_dir = "{tmp_path}/state"\n']
    for name, python in pythons.items():
        script = tmp_path / f"{name}.py"
        script.write_text(SCRIPT.format(name=name))
        lines.append(f'[instance.{name}]\nscript = "{script}"\npython = "{python}"\n')
    config = tmp_path / "ioc.toml"
    config.write_text("".join(lines))
    environ = ca_environ(port := free_port())

    def ask(*arguments: str) -> str:
        """Ask until an answer comes: on a busy machine, the IOC may be slower than the clients."""
        command = [installed.command, *arguments, "--config", config]

        def answered() -> subprocess.CompletedProcess[str] | None:
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path
            )
            return None if "no answer" in done.stderr else done

        done = until(answered)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ask("check").count(": good\n") == len(pythons)
    command = (installed.command, "run", "--config", config)
    with Ioc(tmp_path, port=port, command=command) as ioc:
        ioc.ready()
        for name, python in pythons.items():
            ioc.wait_for(f"{name}: IOC started by {python}\n")
        assert "IOC started by" in ask("log", "BGRSCRPT_01")

        def seen() -> list[tuple[str, str, float]]:
            rows = json.loads(ask("status", "--json"))
            return [(row["NAME"], row["STATUS"], row["PROGRESS"]) for row in rows]

        until(lambda: seen() == [(name, "Running", 50) for name in pythons])
        until(lambda: len(json.loads(ask("registry", "--json"))) == len(pythons))
        ask("stop", *pythons)
        assert {state for _, state, _ in seen()} == {"Stopped"}
        assert ioc.end() == 0
