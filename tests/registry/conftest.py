"""Back ends for the registry's tests: SQLite files and a real MariaDB server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from benchmarks.rig.mariadb import MariaDb, missing_programs
from bgrscrpt_ioc.registry.times import Times
from tests.registry.backends import Backend, MySqlBackend, SqliteBackend
from tests.registry.watching import Watched

_number = count(1)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    if missing := missing_programs():
        text = f"no {' and no '.join(missing)}: apt-get install mariadb-server to run this test"
        pytest.skip(text)
    directory = Path(tempfile.mkdtemp(prefix="bgr-db-"))
    server = MariaDb(directory)
    try:
        server.install()
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)


@pytest.fixture
def mariadb(mariadb_server: MariaDb) -> Iterator[MySqlBackend]:
    """An empty registry of its own on a real server."""
    number = next(_number)
    backend = MySqlBackend(mariadb_server, f"iocdb{number}", f"user{number}")
    yield backend
    backend.drop()


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteBackend:
    """A registry file that does not exist yet."""
    return SqliteBackend(tmp_path / "made" / "iocdb.sqlite")


@pytest.fixture(params=["sqlite", "mariadb"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each back end in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def times() -> Times:
    """How long a registry waits; a module of tests may shorten it."""
    return Times()


@pytest.fixture
def watch(tmp_path: Path, times: Times) -> Iterator[Callable[..., Watched]]:
    """Makes registries whose changes of status can be waited for; they are closed in the end."""
    made: list[Watched] = []

    def make(url: str, state: str = "state", **changes: float) -> Watched:
        made.append(Watched(url, tmp_path / state, replace(times, **changes)))
        return made[-1]

    yield make
    for watched in made:
        watched.registry.close(5)
