"""What is wrong with the database: one clear line in the status and the log, then quiet retries."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import subprocess
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bgrscrpt_ioc.events import Severity
from bgrscrpt_ioc.registry import dbconnection, registry
from bgrscrpt_ioc.registry.registry import RegistryError, RegistryStatus, read_table
from tests.registry.backends import Backend, MySqlBackend, SqliteBackend
from tests.registry.mariadb import SCHEMA, statements
from tests.registry.watching import NAME, Watched

Watch = Callable[..., Watched]
SECRET = "s3cr+t%2F&x"  # noqa: S105 - as it stands in a URL
PLAIN = "s3cr+t/&x"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The back-off does not slow these tests; only how it counts is its own test."""
    monkeypatch.setattr(registry, "BACKOFF", 0.05)
    monkeypatch.setattr(registry, "BACKOFF_MAX", 0.1)


def in_trouble(watched: Watched) -> RegistryStatus:
    """Register, and wait for the first problem and three more tries."""
    watched.register()
    status = watched.until(lambda status: status.severity == Severity.MINOR)
    tries = len(watched.names)
    watched.until(lambda _: len(watched.names) >= tries + 3)
    assert not status.registered
    assert re.search(r"; trying again in 0\.\d+ s\b", status.message)
    assert len(status.message.encode()) <= 255
    return status


def recovered(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """The rows get there, and the log has one line for the trouble and one for its end."""
    assert watched.until_registered().message == "registered"
    watched.until_written()
    lines = [r.getMessage() for r in caplog.records if r.name == "bgrscrpt_ioc.registry"]
    assert len(lines) == 2, lines
    assert "answers again" in lines[1]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "bgrscrpt_ioc.registry")
    return caplog


def test_wrong_password(mariadb: MySqlBackend, watch: Watch, log: pytest.LogCaptureFixture) -> None:
    """The user is named, the password nowhere; right again, the rows are written."""
    watched = watch(mariadb.server.url(mariadb.database, mariadb.user, SECRET))
    status = in_trouble(watched)
    assert f"user {mariadb.user} refused, wrong password?" in status.message
    mariadb.server.sql(f"ALTER USER {mariadb.user}@'127.0.0.1' IDENTIFIED BY %s", PLAIN)
    recovered(watched, log)
    assert not any(form in log.text for form in (SECRET, PLAIN))


def test_no_such_database(
    mariadb: MySqlBackend, watch: Watch, log: pytest.LogCaptureFixture
) -> None:
    """The missing database and the file that makes it are named."""
    server, missing = mariadb.server, f"{mariadb.database}_missing"
    server.sql(f"GRANT ALL ON {missing}.* TO {mariadb.user}@'127.0.0.1'")
    watched = watch(server.url(missing, mariadb.user))
    assert f"no database {missing}: create it with db/iocdb.sql" in in_trouble(watched).message
    server.sql(f"CREATE DATABASE {missing}")
    try:
        watched.until_problem("has no table iocrt, iocs, pvinfo, pvs")
        log.clear()
        for statement in statements(SCHEMA.read_text()):
            server.sql(statement, database=missing)
        watched.until_registered()
    finally:
        watched.registry.close(5)
        server.sql(f"DROP DATABASE {missing}")


def test_missing_table(mariadb: MySqlBackend, watch: Watch, log: pytest.LogCaptureFixture) -> None:
    """A table that is missing is named."""
    mariadb.sql("RENAME TABLE iocrt TO aside")
    watched = watch(mariadb.url)
    assert "has no table iocrt (or user" in in_trouble(watched).message
    mariadb.sql("RENAME TABLE aside TO iocrt")
    recovered(watched, log)


def test_other_columns(mariadb: MySqlBackend, watch: Watch, log: pytest.LogCaptureFixture) -> None:
    """A table of another layout is told by the file it should be like."""
    mariadb.sql("ALTER TABLE iocrt CHANGE exe_path path VARCHAR(100)")
    watched = watch(mariadb.url)
    assert "other columns than those of db/iocdb.sql" in in_trouble(watched).message
    mariadb.sql("ALTER TABLE iocrt CHANGE path exe_path VARCHAR(100)")
    recovered(watched, log)


def test_read_only_user(mariadb: MySqlBackend, watch: Watch, log: pytest.LogCaptureFixture) -> None:
    """A user who may only read: the rights that are missing are named."""
    reader = f"{mariadb.user}_ro"
    mariadb.server.make_user(mariadb.database, reader, "SELECT")
    try:
        watched = watch(mariadb.server.url(mariadb.database, reader))
        assert "GRANT SELECT, INSERT, UPDATE, DELETE" in in_trouble(watched).message
        mariadb.server.sql(f"GRANT ALL ON {mariadb.database}.* TO {reader}@'127.0.0.1'")
        recovered(watched, log)
    finally:
        mariadb.server.sql(f"DROP USER {reader}@'127.0.0.1'")


def test_unknown_host(watch: Watch) -> None:
    """A host that does not exist is named with the system's reason."""
    watched = watch(f"mysql+pymysql://iocdb:{SECRET}@no-such-host.invalid/iocdb")
    assert re.match(r"cannot reach no-such-host.invalid:3306 \(.+\)", in_trouble(watched).message)


def test_refused_connection(watch: Watch, unused_tcp_port: int) -> None:
    """A server that does not run: where, and the system's reason."""
    watched = watch(f"mysql+pymysql://iocdb:x@127.0.0.1:{unused_tcp_port}/iocdb")
    wanted = f"cannot reach 127.0.0.1:{unused_tcp_port} (Connection refused)"
    assert in_trouble(watched).message.startswith(wanted)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("no url", "is no URL: expected sqlite:////path"),
        ("mysql+pymysql://a:s3cret@h:x/db", "is no URL: expected"),
        ("postgresql://a:s3cret@h/db", "cannot be used: expected sqlite"),
        ("mysql+pymysql://a:s3cret@h", "names no database: expected"),
        ("sqlite://", "cannot be used: expected sqlite:////path"),
        ("sqlite:////tmp/x?timeout=soon", "ValueError: could not convert string to float: 'soon'"),
    ],
)
def test_wrong_url(watch: Watch, url: str, problem: str) -> None:
    """A URL that cannot be used: what is expected, and no password in any text or trace."""
    assert problem in in_trouble(watch(url)).message
    with pytest.raises(RegistryError) as caught:
        read_table(url)
    assert problem in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_outage_of_days(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of tries later it still tries, and is silent."""
    monkeypatch.setattr(registry, "BACKOFF", 1e-6)
    monkeypatch.setattr(registry, "BACKOFF_MAX", 1e-5)
    watched = watch("no url")
    watched.register()
    watched.until(lambda _: len(watched.names) > 3000)


def test_errors_of_reading_hide_the_password(mariadb: MySqlBackend) -> None:
    """`read_table` raises one kind of error, without the password even in its trace."""
    with pytest.raises(RegistryError, match="wrong password") as caught:
        read_table(mariadb.server.url(mariadb.database, mariadb.user, SECRET))
    trace = "".join(traceback.format_exception(caught.value))
    assert not any(form in trace for form in (SECRET, PLAIN))


def test_reading_makes_no_file(sqlite: SqliteBackend) -> None:
    """`read_table` of a registry that is not there says so and makes nothing."""
    with pytest.raises(RegistryError, match="made when a script first registers"):
        read_table(sqlite.url)
    assert not sqlite.path.parent.exists()


def test_locked(
    backend: Backend,
    watch: Watch,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another program holds a lock: said after a short wait, written when it lets go."""
    monkeypatch.setattr(dbconnection, "LOCK_TIMEOUT", 1)
    watched = watch(backend.url)
    if isinstance(backend, MySqlBackend):
        backend.sql("INSERT INTO iocs (iocname) VALUES (?)", NAME)
        holder = backend.server.connect(backend.database)
        holder.begin()
        holder.cursor().execute("SELECT * FROM iocs FOR UPDATE")
        holder.cursor().execute("SELECT * FROM iocrt FOR UPDATE")
        assert "is locked by another program" in in_trouble(watched).message
        holder.close()
    else:
        backend.spoil()
        assert "locked by another program" in in_trouble(watched).message
        backend.mend()
    recovered(watched, log)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"This is no database, " * 100, "no SQLite database; move it away"),
        (None, "damaged; move it away"),
    ],
)
def test_corrupted_file(
    sqlite: SqliteBackend,
    watch: Watch,
    log: pytest.LogCaptureFixture,
    content: bytes | None,
    problem: str,
) -> None:
    """A file that is damaged or no database is left as it is; moved away, a new one is made."""
    if content is None:
        maker = watch(sqlite.url, "maker")
        maker.register()
        maker.until_written()
        whole = sqlite.path.read_bytes()
        content = whole[:100] + b"\x99" * (len(whole) - 100)
    sqlite.path.parent.mkdir(exist_ok=True)
    sqlite.path.write_bytes(content)
    watched = watch(sqlite.url)
    assert problem in in_trouble(watched).message
    assert sqlite.path.read_bytes() == content
    sqlite.path.rename(sqlite.path.with_suffix(".bad"))
    recovered(watched, log)
    assert len(sqlite.sql("SELECT * FROM iocrt")) == 1


def test_read_only_file(sqlite: SqliteBackend, watch: Watch) -> None:
    """A database opened for reading only is told so."""
    maker = watch(sqlite.url, "maker")
    maker.register()
    maker.until_written()
    watched = watch(f"sqlite:///file:{sqlite.path}?mode=ro&uri=true")
    assert "may not be written; check its owner and mode" in in_trouble(watched).message


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small file system: run this test as root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(small_disk: Path, log: pytest.LogCaptureFixture) -> None:
    """No space for the registry nor the journal: both said, and all is written when there is."""
    state, database = small_disk / "state", small_disk / "iocdb.sqlite"
    first = Watched(f"sqlite:///{database}", state)
    first.register("OTHER")
    first.until_written()
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        size = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        file.write(bytes(size))
    watched = Watched(f"sqlite:///{database}", state)
    message = in_trouble(watched).message
    assert f"{database}: the disk is full" in message
    watched.until_problem("No space left on device")
    assert len(watched.registry.status(NAME).message.encode()) <= 255
    filler.unlink()
    assert watched.until_registered().registered
    watched.until_written()
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT COUNT(*) FROM iocrt").fetchone() == (2,)
    connection.close()
    lines = [record.getMessage() for record in log.records]
    assert len([line for line in lines if "disk is full" in line]) == 1
    assert len([line for line in lines if "No space left" in line]) <= 2
