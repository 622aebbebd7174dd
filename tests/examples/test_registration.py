"""The documentation's first script, word for word: all it does is to register."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.rig.ca import STRING, Client
from benchmarks.rig.iocs import Ioc, until
from bgrscrpt_ioc.ioc.serve import CLOSING
from tests.examples.zerofield import DOCUMENTATION

P = "TE:BGRSCRPT_01:"
# As ISIS's: it imports what a host without EPICS lacks, and would write to a database itself.
HELPERS = """
from genie_python.mysql_abstraction_layer import SQLAbstraction
def register_ioc_start(ioc_name, pv_database=None, prefix=None):
    SQLAbstraction("iocdb", "iocdb", "$iocdb")
"""


def kit_root(directory: Path, has_server_common: bool) -> str:
    """A `KIT_ROOT`."""
    package = directory / "ISIS/inst_servers/master/server_common"
    if has_server_common:
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "helpers.py").write_text(HELPERS)
    return str(directory)


def rows(database: Path) -> list[tuple[int, str]]:
    """(running, exe_path) of BGRSCRPT_01."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT running, exe_path FROM iocrt WHERE iocname = 'BGRSCRPT_01'"
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []  # no tables yet


@pytest.mark.parametrize("has_server_common", [True, False])
def test_the_documentations_script(tmp_path: Path, has_server_common: bool) -> None:
    """It ends well, and the registry has that it ran: with ISIS's tree and without."""
    script = DOCUMENTATION / "registration.py"
    environ = {"KIT_ROOT": kit_root(tmp_path / "kit", has_server_common)}
    with (
        Ioc(tmp_path, script, "--prefix", "TE:", environ=environ) as ioc,
        Client(ioc.ready().port) as client,
    ):
        until(lambda: client.get(P + "STATUS", STRING) == "Finished")
        until(lambda: rows(tmp_path / "state/iocdb.sqlite") == [(0, str(script))])
        assert client.text(P + "ERROR") == ""
        assert client.text(P + "LOG") == ""


# What ISIS's own test of this IOC does: the directory is where the launcher is, not the script.
MAKES_A_DIRECTORY = """
import os
from server_common.helpers import register_ioc_start
register_ioc_start("BGRSCRPT_01")
print("IOC started")
os.mkdir("made by the script")
"""


def test_isis_launch(tmp_path: Path, unused_tcp_port: int) -> None:
    """ISIS's environment alone: its interpreter and directory, and no database delays nothing."""
    settings = tmp_path / "settings"
    settings.mkdir()
    script = settings / "bgrscrpt_script.py"
    script.write_text(MAKES_A_DIRECTORY)
    python = tmp_path / "python3w"
    python.symlink_to(sys.executable)
    environ = {
        "MYPVPREFIX": "TE:",
        "KIT_ROOT": kit_root(tmp_path / "kit", True),
        "ICPINSTSCRIPTROOT": str(tmp_path / "none"),
        "ICPVARDIR": str(tmp_path / "var"),
        "PYTHON3W": str(python),
        "PYTHON3": "/no/such/python",
        "MACROS": json.dumps({"SCRIPT_PATH": str(script)}),
        "PYTHONUNBUFFERED": "TRUE",
    }
    # Not the database that the environment means: somebody may have it.
    url = f"mysql+pymysql://iocdb:$iocdb@127.0.0.1:{unused_tcp_port}/iocdb"
    with (
        Ioc(tmp_path, "--registry", url, environ=environ) as ioc,
        Client(ioc.ready().port) as client,
    ):
        ioc.wait_for("IOC started")
        until(lambda: client.get(P + "STATUS", STRING) == "Finished")
        assert (tmp_path / "made by the script").is_dir()
        assert client.text(P + "PYTHON").startswith(str(python))
        until(
            lambda: f"cannot reach 127.0.0.1:{unused_tcp_port}" in client.text(P + "REGISTRY:MSG")
        )
        began = time.monotonic()
        assert ioc.end() == 0
        assert time.monotonic() - began < CLOSING
