"""The rows in the database, by plain SQL, on both back ends."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bgrscrpt_ioc.registry.registry import PvRow, RegistryRow, pv_rows, read_table
from tests.registry.backends import Backend, MySqlBackend, SqliteBackend
from tests.registry.watching import NAME, STARTED, Watched

Watch = Callable[..., Watched]
RUNNING = ("2023-11-14 22:13:20", "1970-01-01 00:00:01", 1)
TIMES = "SELECT start_time, stop_time, running FROM iocrt WHERE iocname = ?"


def test_registration_and_stop(backend: Backend, watch: Watch) -> None:
    """A registration writes all four tables; a stop changes iocrt only."""
    own = PvRow(f"TE:{NAME}:STATUS", "mbbi", "State", {"archive": "VAL", "INTEREST": "HIGH"})
    asked, warnings = pv_rows({"TEMP": {"info_field": {"alarm": "X"}}}, "TE:")
    watched = watch(backend.url)
    watched.register(pvs=[own, *asked])
    assert watched.until_registered().message == "registered"
    assert warnings == []
    pvs = [
        (f"TE:{NAME}:STATUS", "mbbi", "State", NAME),
        ("TE:TEMP", "float", "", NAME),
    ]
    infos = [
        (f"TE:{NAME}:STATUS", "INTEREST", "HIGH"),
        (f"TE:{NAME}:STATUS", "archive", "VAL"),
        ("TE:TEMP", "alarm", "X"),
    ]
    every_pv = "SELECT pvname, record_type, record_desc, iocname FROM pvs ORDER BY pvname"
    assert backend.sql("SELECT * FROM iocs") == [(NAME, None, None, None, None, None, None)]
    assert backend.sql("SELECT * FROM iocrt") == [(NAME, 4242, *RUNNING, "/scripts/a.py")]
    assert backend.sql(every_pv) == pvs
    assert backend.sql("SELECT * FROM pvinfo ORDER BY pvname, infoname") == infos

    watched.registry.stopped(NAME, STARTED + 60)
    watched.until_written()
    ended = (NAME, None, "2023-11-14 22:13:20", "2023-11-14 22:14:20", 0, "/scripts/a.py")
    assert backend.sql("SELECT * FROM iocrt") == [ended]
    assert backend.sql(every_pv) == pvs
    assert not watched.registry.status(NAME).registered


def test_existing_row_of_iocs(backend: Backend, watch: Watch) -> None:
    """What the instrument has written about an IOC in `iocs` does not change."""
    watch(backend.url).register("OTHER")
    watch(backend.url).until_written()
    row = (NAME, "/boot", 2001, 2002, "run", "st.cmd", "Background")
    backend.sql("INSERT INTO iocs VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
    watched = watch(backend.url)
    watched.register()
    watched.until_registered()
    assert backend.sql("SELECT * FROM iocs WHERE iocname = ?", NAME) == [row]


def test_new_registration_replaces_the_pvs(backend: Backend, watch: Watch) -> None:
    """PVs of the last call that this call does not have are gone, with their info fields."""
    watched = watch(backend.url)
    watched.register(pvs=[PvRow("OLD", "ai", "", {"a": "1"}), PvRow("BOTH", "ai", "", {"a": "1"})])
    watched.until_written()
    watched.register(pvs=[PvRow("BOTH", "ao", "", {"b": "2"})])
    watched.until_registered()
    assert backend.sql("SELECT pvname, record_type FROM pvs") == [("BOTH", "ao")]
    assert backend.sql("SELECT * FROM pvinfo") == [("BOTH", "b", "2")]


def test_pv_of_another_ioc_is_taken_over(backend: Backend, watch: Watch) -> None:
    """A PV name that another IOC has registered goes to the last one that claims it."""
    watched = watch(backend.url)
    watched.register("OTHER", pvs=[PvRow("SAME", "ai", "", {"a": "1"}), PvRow("HERS", "ai", "")])
    watched.until_registered("OTHER")
    watched.register(pvs=[PvRow("SAME", "ao", "", {"b": "2"})])
    watched.until_registered()
    found = backend.sql("SELECT pvname, iocname FROM pvs ORDER BY pvname")
    assert found == [("HERS", "OTHER"), ("SAME", NAME)]
    assert backend.sql("SELECT * FROM pvinfo") == [("SAME", "b", "2")]


def test_lengths(backend: Backend, watch: Watch) -> None:
    """Names of 100 characters fit, longer ones are refused one by one.

    Texts are cut as the tools do.
    """
    watched = watch(backend.url)
    name = "Ž" * 100
    watched.register(
        "I" * 100,
        exe_path="/" + "x" * 200,
        pvs=[
            PvRow(name, "ai", "d" * 101, {"k" * 100: "v" * 101, "k" * 101: ""}),
            PvRow("P" * 101, "ai", ""),
        ],
    )
    status = watched.until_registered("I" * 100)
    assert "101 characters, the registry holds 100" in status.message
    assert len(status.message.encode()) <= 255
    assert backend.sql("SELECT pvname, record_desc FROM pvs") == [(name, "d" * 100)]
    assert backend.sql("SELECT * FROM pvinfo") == [(name, "k" * 100, "v" * 100)]
    assert backend.sql("SELECT exe_path FROM iocrt") == [("/" + "x" * 99,)]

    watched.register("J" * 101)
    status = watched.registry.status("J" * 101)
    assert not status.registered
    assert "101 characters" in status.message
    watched.until_written()
    assert backend.sql("SELECT COUNT(*) FROM iocs") == [(1,)]


@pytest.mark.parametrize("found", [1, 0])
def test_rows_of_a_dead_ioc(backend: Backend, watch: Watch, found: int) -> None:
    """At the start, a row that was left running is stopped.

    Stopped rows and those of others stay.
    """
    first = watch(backend.url, "lost")  # its journal is not there for the second
    first.register()
    first.register("OTHER")
    first.until_registered("OTHER")
    first.until_registered()
    if not found:
        first.registry.stopped(NAME, STARTED + 5)
        first.until_written()
    second = watch(backend.url)
    second.registry.reconcile([NAME, "BGRSCRPT_02"], STARTED + 60)
    second.until_written()
    stop = "2023-11-14 22:14:20" if found else "2023-11-14 22:13:25"
    assert backend.sql(TIMES, NAME) == [(RUNNING[0], stop, 0)]
    assert backend.sql(TIMES, "OTHER") == [RUNNING]
    assert backend.sql("SELECT COUNT(*) FROM iocs") == [(2,)]


def test_no_rows_before_the_first_registration(tmp_path: Path) -> None:
    """If there is no file, no row must be stopped: none is made, nor SQLAlchemy imported."""
    code = f"""
import sys, time
from pathlib import Path
from bgrscrpt_ioc.registry.registry import Registry

registry = Registry("sqlite:///{tmp_path}/iocdb.sqlite", Path("{tmp_path}"), print)
registry.reconcile(["BGRSCRPT_01"], time.time())
registry.close(10.0)
print("sqlalchemy" in sys.modules, registry.status("BGRSCRPT_01").message)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("False")
    assert list(tmp_path.glob("*.sqlite")) == []


def test_table_for_people(backend: Backend, watch: Watch) -> None:
    """`read_table` gives name, state, pid, times with zone and path, by name."""
    watched = watch(backend.url)
    watched.register("B", pid=7)
    watched.register("A", exe_path="/a.py")
    watched.until_registered("A")
    watched.until_registered("B")
    watched.registry.stopped("A", STARTED + 1)
    watched.until_written()
    rows = read_table(backend.url)
    assert [(r.name, r.running, r.pid, r.exe_path) for r in rows] == [
        ("A", False, None, "/a.py"),
        ("B", True, 7, "/scripts/a.py"),
    ]
    assert isinstance(rows[0], RegistryRow)
    assert [r.started.timestamp() for r in rows if r.started] == [STARTED, STARTED]
    assert rows[0].stopped is not None
    assert rows[0].stopped.timestamp() == STARTED + 1
    assert rows[1].stopped is None


@pytest.mark.parametrize("keys", ["", "iocrt", "iocrt pvs pvinfo"])
def test_tables_without_foreign_keys(mariadb: MySqlBackend, watch: Watch, keys: str) -> None:
    """Rows are the same in tables without foreign keys: nothing needs a cascade."""
    for table in keys.split():
        mariadb.sql(f"ALTER TABLE {table} DROP FOREIGN KEY {table}_ibfk_1")
    watched = watch(mariadb.url)
    watched.register(pvs=[PvRow("OLD", "ai", "", {"a": "1"})])
    watched.until_registered()
    watched.register(pvs=[PvRow("NEW", "ai", "", {"a": "1"})])
    watched.until_registered()
    assert mariadb.sql("SELECT * FROM pvinfo") == [("NEW", "a", "1")]
    watched.register("OTHER", pvs=[PvRow("NEW", "ai", "", {"b": "2"})])
    watched.until_registered("OTHER")
    assert mariadb.sql("SELECT * FROM pvinfo") == [("NEW", "b", "2")]
    assert mariadb.sql("SELECT iocname FROM iocs ORDER BY iocname") == [(NAME,), ("OTHER",)]


def test_start_time_that_follows_updates(mariadb: MySqlBackend, watch: Watch) -> None:
    """A stop leaves the start time alone, although MySQL may change that column by itself."""
    mariadb.sql(
        "ALTER TABLE iocrt MODIFY start_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP "
        "ON UPDATE CURRENT_TIMESTAMP"
    )
    watched = watch(mariadb.url)
    watched.register()
    watched.until_registered()
    watched.registry.stopped(NAME, STARTED + 60)
    watched.until_written()
    assert mariadb.sql(TIMES, NAME) == [("2023-11-14 22:13:20", "2023-11-14 22:14:20", 0)]


def test_sqlite_file(sqlite: SqliteBackend, watch: Watch) -> None:
    """The file is made, not for everybody.

    Rows of others that refer to ours are removed with them.
    """
    watched = watch(sqlite.url)
    watched.register(pvs=[PvRow("OLD", "ai", "")])
    watched.until_registered()
    assert stat.S_IMODE(sqlite.path.stat().st_mode) & ~0o640 == 0
    sqlite.sql("CREATE TABLE notes (pvname REFERENCES pvs (pvname) ON DELETE CASCADE)")
    sqlite.sql("INSERT INTO notes VALUES ('OLD')")
    watched.register(pvs=[PvRow("NEW", "ai", "")])
    watched.until_registered()
    assert sqlite.sql("SELECT * FROM notes") == []


@pytest.mark.parametrize(
    ("zone", "mark"),
    [
        ("+00:00", "1970-01-01 00:00:01"),
        ("-05:00", "1970-01-01 00:00:01"),
        ("+05:00", "1970-01-01 05:00:01"),  # the first second that a TIMESTAMP holds
    ],
)
def test_times_in_the_zone_of_the_server(
    mariadb: MySqlBackend, watch: Watch, zone: str, mark: str
) -> None:
    """Times are right for readers in any zone, and a running row has ISIS's own mark."""
    mariadb.server.sql("SET GLOBAL time_zone = %s", zone)
    try:
        watched = watch(mariadb.url)
        watched.register()
        watched.until_registered()
        assert mariadb.sql("SELECT UNIX_TIMESTAMP(start_time) FROM iocrt") == [(STARTED,)]
        assert mariadb.sql("SELECT stop_time FROM iocrt", zone=zone) == [(mark,)]
        assert read_table(mariadb.url)[0].stopped is None
        watched.registry.stopped(NAME, STARTED + 60)
        watched.until_written()
        assert mariadb.sql("SELECT UNIX_TIMESTAMP(stop_time) FROM iocrt") == [(STARTED + 60,)]
    finally:
        mariadb.server.sql("SET GLOBAL time_zone = 'SYSTEM'")


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "utf8mb4"])
def test_columns_that_lack_characters(mariadb: MySqlBackend, watch: Watch, charset: str) -> None:
    """Texts get `?` for characters that a column cannot hold; only names with such are left out."""
    mariadb.sql("ALTER TABLE pvs DROP FOREIGN KEY pvs_ibfk_1")
    mariadb.sql(f"ALTER TABLE pvs MODIFY record_desc VARCHAR(100) CHARACTER SET {charset}")
    watched = watch(mariadb.url)
    watched.register(pvs=[PvRow("A", "ai", "é Ж 🙂"), PvRow("🙂", "ai", ""), PvRow("Ж", "ai", "")])
    status = watched.until_registered()
    kept = {"latin1": "é ? ?", "utf8mb3": "é Ж ?", "utf8mb4": "é Ж 🙂"}[charset]
    assert mariadb.sql("SELECT pvname, record_desc FROM pvs ORDER BY pvname") == [
        ("A", kept),
        ("Ж", ""),
    ]
    assert "'🙂' left out" in status.message


def test_name_that_a_column_cannot_hold(mariadb: MySqlBackend, watch: Watch) -> None:
    """An IOC name with other characters than the column's is refused, and delays no other."""
    watched = watch(mariadb.url)
    mariadb.sql("ALTER TABLE iocrt DROP FOREIGN KEY iocrt_ibfk_1")
    mariadb.sql("ALTER TABLE iocrt MODIFY iocname VARCHAR(100) CHARACTER SET latin1")
    watched.register("Ж")
    watched.register()
    assert watched.until_problem("iocrt.iocname holds latin1 only", "Ж").registered is False
    assert watched.until_registered().message == "registered"
