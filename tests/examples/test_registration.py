"""The documentation's first script, word for word: all it does is to register."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.examples.zerofield import DOCUMENTATION
from tests.ioc.ca import STRING, Client
from tests.ioc.iocs import Ioc, until

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
