"""When a database is killed or hangs at any moment, nobody waits, and nothing is lost or leaks."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.rig.mariadb import MariaDb
from bgrscrpt_ioc.registry.registry import PvRow, Times
from tests.registry.backends import Backend, MySqlBackend, SqliteBackend
from tests.registry.watching import NAME, STARTED, Watched, registry_threads

Watch = Callable[..., Watched]
Outage = Callable[[MariaDb], AbstractContextManager[None]]
AT_ONCE = 1.5  # s: less than any wait for the server, which `Times.answer` ends

STOPPED_TIMES = "SELECT start_time, stop_time, running, pid FROM iocrt"
OUTAGES = [pytest.param(MariaDb.down, id="killed"), pytest.param(MariaDb.hung, id="hung")]


@pytest.fixture
def times() -> Times:
    """Tries are tenths of seconds apart; the time for an answer is longer than `AT_ONCE`."""
    return Times(backoff=0.1, backoff_max=0.5, answer=2.0)


@contextmanager
def at_once() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < AT_ONCE


@pytest.mark.parametrize("outage", OUTAGES)
def test_outage_before_and_after(mariadb: MySqlBackend, watch: Watch, outage: Outage) -> None:
    """A script registers and stops while the server is away.

    Both are written later, with true times.
    """
    watched = watch(mariadb.url)
    with outage(mariadb.server):
        with at_once():
            watched.register()
        watched.until_problem("cannot reach 127.0.0.1")
        with at_once():
            watched.register(started=STARTED + 10)  # a quick restart: the last one counts
    watched.until_registered()
    assert mariadb.sql(STOPPED_TIMES) == [
        ("2023-11-14 22:13:30", "1970-01-01 00:00:01", 1, 4242),
    ]
    with outage(mariadb.server):
        with at_once():
            watched.registry.stopped(NAME, STARTED + 60)
        watched.until_problem("cannot reach 127.0.0.1")
    watched.until_written()
    assert mariadb.sql(STOPPED_TIMES) == [("2023-11-14 22:13:30", "2023-11-14 22:14:20", 0, None)]


@pytest.mark.parametrize("outage", OUTAGES)
def test_outage_in_the_middle(mariadb: MySqlBackend, watch: Watch, outage: Outage) -> None:
    """If the server dies in a transaction, all rows are there or none; all are in the end."""
    watched = watch(mariadb.url)
    watched.register("OTHER", pvs=[PvRow("SAME", "ai", "", {"a": "1"})])
    watched.until_written()
    holder = mariadb.server.connect(mariadb.database)
    holder.begin()
    holder.cursor().execute("SELECT * FROM pvs WHERE pvname = 'SAME' FOR UPDATE")
    watched.register(pvs=[PvRow("SAME", "ao", "", {"b": "2"})])
    deadline = time.monotonic() + 60
    while not mariadb.server.sql(
        "SELECT * FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    ):
        assert time.monotonic() < deadline
    with outage(mariadb.server):
        holder.close()
        watched.until_problem("cannot reach 127.0.0.1")
    watched.until_registered()
    assert mariadb.sql("SELECT pvname, record_type, iocname FROM pvs") == [("SAME", "ao", NAME)]
    assert mariadb.sql("SELECT * FROM pvinfo") == [("SAME", "b", "2")]


def test_calls_never_wait(mariadb: MySqlBackend, watch: Watch) -> None:
    """Of hundreds of calls before, during and after an outage none waits for the server."""
    watched = watch(mariadb.url)
    slowest = 0.0

    def calls(number: int) -> None:
        nonlocal slowest
        for round_ in range(number):
            began = time.monotonic()
            watched.register(started=STARTED + round_)
            watched.registry.status(NAME)
            watched.registry.stopped(NAME, STARTED + round_)
            slowest = max(slowest, time.monotonic() - began)

    calls(50)
    with mariadb.server.hung():
        calls(200)
        watched.until_problem("cannot reach")
        calls(200)
    calls(50)
    assert slowest < AT_ONCE
    watched.until_written()


@pytest.mark.parametrize("outage", OUTAGES)
def test_close_keeps_its_time(mariadb: MySqlBackend, watch: Watch, outage: Outage) -> None:
    """An IOC that ends while the server is away ends in time; the next IOC writes the true stop."""
    first = watch(mariadb.url)
    first.register()
    first.until_registered()
    with outage(mariadb.server):
        first.registry.stopped(NAME, STARTED + 60)
        began = time.monotonic()
        first.registry.close(0.3)
        assert time.monotonic() - began < 60, "without end the writer tries again"
        second = watch(mariadb.url)
        second.registry.reconcile([NAME], STARTED + 1000)
        second.until_problem("cannot reach")
    second.until_written()
    assert mariadb.sql(STOPPED_TIMES) == [("2023-11-14 22:13:20", "2023-11-14 22:14:20", 0, None)]


def test_close_writes_what_it_can(backend: Backend, watch: Watch) -> None:
    """A stop right before the end of the IOC is in the database when `close` returns."""
    watched = watch(backend.url)
    watched.register()
    watched.until_registered()
    watched.registry.stopped(NAME, STARTED + 60)
    watched.registry.close(10)
    assert backend.sql(STOPPED_TIMES) == [("2023-11-14 22:13:20", "2023-11-14 22:14:20", 0, None)]
    assert registry_threads() == []
    watched.register()
    assert registry_threads() == []


def test_close_does_not_wait_for_the_next_try(backend: Backend, watch: Watch) -> None:
    """The last try comes at once, however long the wait for the next one was."""
    watched = watch(backend.url, backoff=60.0, backoff_max=60.0, lock=1.0)
    backend.spoil()
    watched.register()
    watched.until_problem("trying again in 60 s")
    backend.mend()
    watched.registry.close(10)
    assert len(backend.sql(STOPPED_TIMES)) == 1


IOC = """
import sys, time
from pathlib import Path
from bgrscrpt_ioc.registry.registry import Registry, PvRow, Times
url, state, end = sys.argv[1:]
registry = Registry(url, Path(state), lambda name: None, times=Times(answer=1000.0))
for name in ("BGRSCRPT_01", "ODD"):
    registry.register(name, instance="BGRSCRPT_01", pid=77, exe_path="/a.py", started=1_700_000_000,
                      pvs=[PvRow("P:" + name, "ai", "")])
print("registered", flush=True)
if end == "killed":
    time.sleep(60)
"""


def ioc(url: str, state: Path, end: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", IOC, url, str(state), end]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "registered\n"
    return process


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does, which cannot call us."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("away", [False, True], ids=["up", "away"])
def test_killed_ioc(mariadb: MySqlBackend, watch: Watch, tmp_path: Path, *, away: bool) -> None:
    """After SIGKILL of the IOC the next one stops its rows, with names that its scripts chose."""
    state = tmp_path / "state"
    journal = state / "registry"

    def done() -> bool:
        kept = [json.loads(file.read_text())["ioc_name"] for file in journal.glob("*.json")]
        return len(kept) == 2 and (away or len(mariadb.sql(STOPPED_TIMES)) == 2)

    if away:
        mariadb.spoil()
    process = ioc(mariadb.url, state, "killed")
    until(done)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    mariadb.mend()
    watched = watch(mariadb.url)
    watched.registry.reconcile([NAME], STARTED + 60)
    watched.until_written()
    row = ("2023-11-14 22:13:20", "2023-11-14 22:14:20", 0, None)
    assert mariadb.sql(STOPPED_TIMES) == [row, row]
    assert mariadb.sql("SELECT pvname FROM pvs ORDER BY pvname") == [
        ("P:BGRSCRPT_01",),
        ("P:ODD",),
    ]
    assert list(journal.iterdir()) == []


def test_hung_database_does_not_keep_the_interpreter(mariadb: MySqlBackend, tmp_path: Path) -> None:
    """The IOC's process ends at once though a thread of the registry waits for the server."""
    with mariadb.server.hung():
        process = ioc(mariadb.url, tmp_path / "state", "at once")
        process.communicate(timeout=100)  # it waits for an answer ten times as long
    assert process.returncode == 0


def test_two_hundred_cycles(backend: Backend, watch: Watch) -> None:
    """Cycles of register and stop leave no thread, connection or descriptor, and never use two."""
    watched = watch(backend.url)
    watched.register()
    watched.until_written()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    most = 0
    for cycle in range(200):
        watched.register(started=STARTED + cycle)
        if isinstance(backend, MySqlBackend) and cycle % 5 == 0:
            most = max(most, backend.connections())
        watched.until_registered()
        watched.registry.stopped(NAME, STARTED + cycle)
        if cycle % 10 == 0:
            watched.until_written()
    watched.until_written()
    assert most <= 1
    if isinstance(backend, MySqlBackend):
        until(lambda: backend.connections() == 0)
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert len(backend.sql(STOPPED_TIMES)) == 1


def test_two_iocs_at_the_same_time(
    backend: Backend, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """IOCs that write to one registry at once, even each other's PVs, need no second try."""
    iocs = [watch(backend.url, f"state{number}") for number in range(3)]

    def work(number: int) -> None:
        own = iocs[number]
        for cycle in range(25):
            name = f"IOC{number}"
            rows = [PvRow(f"SHARED{n}", "ai", "", {"a": str(number)}) for n in range(20)]
            own.register(name, started=STARTED + cycle, pvs=rows)
            own.until_registered(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in iocs:
        own.until_written()
    assert caplog.messages == []
    assert backend.sql("SELECT COUNT(*) FROM pvs") == [(20,)]
    assert backend.sql("SELECT COUNT(*) FROM iocrt") == [(3,)]


def test_new_work_does_not_try_faster(watch: Watch) -> None:
    """While the server is away, tries come after 1, 2, 4 ... units, whatever is asked meanwhile."""
    tried: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"mysql+pymysql://a:b@127.0.0.1:{server.getsockname()[1]}/iocdb"
        watched = watch(url, backoff_max=0.4)
        for _ in range(5):
            waits = len(watched.names)
            watched.register()
            connection = server.accept()[0]
            tried.append(time.monotonic())  # the wait for the next try begins after that
            connection.close()
            watched.until(lambda _, waits=waits: len(watched.names) > waits)
            for _ in range(20):
                watched.register()
    gaps = [after - before for before, after in pairwise(tried)]
    for gap, least in zip(gaps, [0.1, 0.2, 0.4, 0.4], strict=True):
        assert gap >= least


def test_nothing_is_imported_before_it_is_needed(sqlite: SqliteBackend, tmp_path: Path) -> None:
    """The start of the IOC imports no database library and starts no thread for it."""
    code = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from bgrscrpt_ioc.registry.registry import Registry\n"
        f"registry = Registry({sqlite.url!r}, Path({str(tmp_path)!r}), print)\n"
        "registry.status('A'), registry.stopped('A', 1.0), registry.close(1)\n"
        "print(threading.active_count(), {'sqlalchemy', 'pymysql', 'sqlite3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 set()\n"
