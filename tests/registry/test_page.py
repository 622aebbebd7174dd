"""What docs/how-to/use-the-registry.md tells a site to do works on a newly installed server."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.rig.mariadb import SCHEMA, MariaDb, statements
from tests.registry.watching import Watched

PAGE = Path(__file__).parents[2] / "docs/how-to/use-the-registry.md"


def block(language: str) -> str:
    """Return the first block of the page in this language."""
    found = re.search(
        rf"^ *```{language}[^\n]*\n(.*?)^ *```", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found
    return textwrap.dedent(found[1])


def test_the_page_makes_a_registry(mariadb_server: MariaDb, watch: Callable[..., Watched]) -> None:
    """The page's statements, its command and its URL are all that a script needs to register."""
    if shutil.which("mysql") is None:
        pytest.skip("no mysql: apt-get install mariadb-client to run this test")
    client = f"mysql --no-defaults --socket={mariadb_server.directory / 's'} -u root"
    try:
        for _ in range(2):  # a second time harms nothing
            for statement in statements(block("sql")):
                mariadb_server.sql(statement.replace("%", "%%"))
        (command,) = re.findall(r"^\$ (mysql .*)$", block("console"), re.MULTILINE)
        assert command == 'mysql -u root -p iocdb < "$(bgrscrpt-ioc files iocdb.sql)"'
        load = [*client.split(), "iocdb"]
        with SCHEMA.open() as schema:
            subprocess.run(load, stdin=schema, check=True)
        with SCHEMA.open() as schema:
            again = subprocess.run(
                load, stdin=schema, check=False, stderr=subprocess.PIPE, text=True
            )
        assert "already exists" in again.stderr
        (url,) = re.findall(r'registry = "(.*)"', block("toml"))
        watched = watch(url.replace("127.0.0.1/", f"127.0.0.1:{mariadb_server.port}/"))
        watched.register()
        watched.until_registered()
        watched.until_written()
        assert mariadb_server.sql("SELECT running FROM iocdb.iocrt") == [(1,)]
    finally:
        mariadb_server.sql("DROP DATABASE IF EXISTS iocdb")
        mariadb_server.sql("DROP USER IF EXISTS iocdb@'127.0.0.1'")
