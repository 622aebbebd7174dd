"""A problem with the database is one clear line in the status and the log, then quiet retries."""

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

from benchmarks.rig.mariadb import SCHEMA, statements
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.registry.registry import RegistryError, RegistryStatus, Times, read_table
from tests.registry.backends import Backend, MySqlBackend, SqliteBackend
from tests.registry.watching import NAME, Watched

Watch = Callable[..., Watched]
SECRET = "s3cr+t%2F&x"  # noqa: S105 - as it stands in a URL
PLAIN = "s3cr+t/&x"


@pytest.fixture
def times() -> Times:
    """Short back-off, so that it does not slow these tests; how it grows has its own test."""
    return Times(backoff=0.05, backoff_max=0.1)


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
    """The rows are written, and the log has one line for the problem and one for its end."""
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
    """The user is named, and never the password; when it is right again, the rows are written."""
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
    """A table with another layout is named, with the file that shows the right one."""
    mariadb.sql("ALTER TABLE iocrt CHANGE exe_path path VARCHAR(100)")
    watched = watch(mariadb.url)
    assert "other columns than those of db/iocdb.sql" in in_trouble(watched).message
    mariadb.sql("ALTER TABLE iocrt CHANGE path exe_path VARCHAR(100)")
    recovered(watched, log)


def test_read_only_user(mariadb: MySqlBackend, watch: Watch, log: pytest.LogCaptureFixture) -> None:
    """The rights that a read-only user lacks are named."""
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
    """If a server does not run, its place and the system's reason are named."""
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
        ("mysql+pymysql://a:s3c@s3cret@h/db", "its password holds an @: write each @ of it as %40"),
        ("mysql+pymysql://a:s3c@s3/s3cret@h/db", "its password holds an @"),
        ("sqlite://", "cannot be used: expected sqlite:////path"),
        ("sqlite:////tmp/x?timeout=soon", "ValueError: could not convert string to float: 'soon'"),
    ],
)
def test_wrong_url(watch: Watch, url: str, problem: str) -> None:
    """For a URL that cannot be used, the message says what is expected, without the password."""
    assert problem in in_trouble(watch(url)).message
    with pytest.raises(RegistryError) as caught:
        read_table(url)
    assert problem in str(caught.value)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_outage_of_days(watch: Watch) -> None:
    """After thousands of tries it still tries, and is silent."""
    watched = watch("no url", backoff=1e-6, backoff_max=1e-5)
    watched.register()
    watched.until(lambda _: len(watched.names) > 3000)


def test_errors_of_reading_hide_the_password(mariadb: MySqlBackend) -> None:
    """`read_table` raises one kind of error, without the password even in its trace."""
    with pytest.raises(RegistryError, match="wrong password") as caught:
        read_table(mariadb.server.url(mariadb.database, mariadb.user, SECRET))
    trace = "".join(traceback.format_exception(caught.value))
    assert not any(form in trace for form in (SECRET, PLAIN))


def test_reading_makes_no_file(sqlite: SqliteBackend) -> None:
    """`read_table` of a registry that does not exist says so and makes nothing."""
    with pytest.raises(RegistryError, match="the IOC makes it when a script first registers"):
        read_table(sqlite.url)
    assert not sqlite.path.parent.exists()


def test_locked(backend: Backend, watch: Watch, log: pytest.LogCaptureFixture) -> None:
    """If another program holds a lock, that is reported, and rows are written when it is free."""
    watched = watch(backend.url, lock=1.0)
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
    """A file that is damaged or no database is left alone.

    If it is moved away, a new one is made.
    """
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
    """A database that is opened only for reading is reported."""
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
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # a test that fails may use it


def test_full_disk(small_disk: Path, times: Times, log: pytest.LogCaptureFixture) -> None:
    """If the registry and the journal have no space, both are reported.

    With space all is written.
    """
    state, database = small_disk / "state", small_disk / "iocdb.sqlite"
    first = Watched(f"sqlite:///{database}", state, times)
    first.register("OTHER")
    first.until_written()
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        size = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        file.write(bytes(size))
    watched = Watched(f"sqlite:///{database}", state, times)
    message = in_trouble(watched).message
    assert f"{database}: the disk is full" in message
    watched.until_problem("cannot keep")  # and of a path, long or short, what fits into the PV
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
