r"""UNC names: the script of an IOC, its settings, modules, state and logs are on \\server\share.

Wine has no network for shares, but a directory: `dosdevices/unc/SERVER/SHARE` of its prefix. Two
things cannot be tried there: Wine starts no program whose working directory is on a share, and a
Python that is on a share does not find its library.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.rig.ca import ECA_NORMAL
from benchmarks.rig.iocs import Ioc, until
from benchmarks.rig.where import DRIVE, command, native
from tests.windows.across.conftest import Bench, P

SCRIPT = """import sys, time
from on_the_share import WORD
from server_common.helpers import register_ioc_start
register_ioc_start('BGRSCRPT_01')
sys.stdout.write(f'{WORD} {__file__} {sys.argv[0]}\\n')
time.sleep(1000)
"""
SERVER = DRIVE.parent / "dosdevices" / "unc" / "bgrscrpt-server"


@pytest.fixture
def share(tmp_path: Path) -> Iterator[Path]:
    r"""A directory that Windows has as \\bgrscrpt-server\NAME, NAME being its name here."""
    shared = tmp_path / f"share {tmp_path.parent.name} {tmp_path.name}"
    for directory in ("a library", "state", "logs"):
        (shared / directory).mkdir(parents=True)
    (shared / "a library" / "on_the_share.py").write_text("WORD = 'found'\n")
    (shared / "my script.py").write_text(SCRIPT)
    SERVER.mkdir(parents=True, exist_ok=True)
    link = SERVER / shared.name
    link.symlink_to(shared)
    yield shared
    link.unlink()


@pytest.mark.parametrize("way", ["command line", "file with /"])
def test_all_of_it_on_a_share(bench: Bench, share: Path, way: str) -> None:
    """A script on a share runs, restarts and registers; its log and state are on the share."""
    root = f"\\\\bgrscrpt-server\\{share.name}"
    settings = {
        "script": f"{root}\\my script.py",
        "python_path": f"{root}\\a library",
        "cwd": native(bench.directory),
    }
    files = {"state_dir": f"{root}\\state", "log_dir": f"{root}\\logs"}
    if way == "command line":
        given = {f"--{key.replace('_', '-')}": value for key, value in (settings | files).items()}
        script = given.pop("--script")
        words = ["run", script, *(word for pair in given.items() for word in pair)]
    else:
        lines = [f"{key} = '{value}'" for key, value in files.items()]
        lines += ["[instance.BGRSCRPT_01]", f"python_path = ['{settings.pop('python_path')}']"]
        lines += [f"{key} = '{value}'" for key, value in settings.items()]
        text = "\n".join(lines)
        (share / "ioc.toml").write_text(text.replace("\\", "/"))
        words = ["run", "--config", f"{root}\\ioc.toml"]
    ioc = Ioc(bench.directory, command=command(*words, "--prefix", "TE:"))
    bench.stack.enter_context(ioc).ready()
    client = bench.client_of(ioc)
    told = f"found {root}\\my script.py {root}\\my script.py"
    assert bench.until(client, "LOG", bool) == told
    assert client.text(P + "SCRIPT") == f"{root}\\my script.py"
    assert client.text(P + "LOG:FILE").startswith(f"{root}\\logs\\")
    until(lambda: told in next((share / "logs").glob("*.log"), share / "none").read_text())
    until(lambda: client.text(P + "REGISTRY:MSG") == "registered")
    with closing(sqlite3.connect(share / "state" / "iocdb.sqlite")) as rows:
        assert rows.execute("SELECT running FROM iocrt").fetchall() == [(1,)]
    assert client.put_callback(P + "RESTART") == ECA_NORMAL
    bench.until(client, "LOG", lambda text: text.endswith(f"\n{told}"))
