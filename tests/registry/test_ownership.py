"""Who owns a row: what a run or an IOC may change of it, on real back ends."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

from tests.registry.backends import Backend, MySqlBackend
from tests.registry.watching import NAME, STARTED, Watched

Watch = Callable[..., Watched]


def test_row_of_another_run_stays(backend: Backend, watch: Watch) -> None:
    """The end of a run stops only its own row.

    Then the other living run of the name has the row.
    """
    watched = watch(backend.url)
    watched.register(pid=1)
    watched.register(pid=2, instance="BGRSCRPT_02")
    watched.until_written()
    watched.registry.stopped(NAME, STARTED + 5, instance="BGRSCRPT_02", pid=2)
    watched.until_written()
    assert backend.sql("SELECT running, pid FROM iocrt") == [(1, 1)]
    backend.sql("UPDATE iocrt SET pid = 77")  # a script that writes the row by itself
    watched.registry.stopped(NAME, STARTED + 9, pid=1)
    watched.until_written()
    assert backend.sql("SELECT running, pid FROM iocrt") == [(1, 77)]


def test_start_leaves_rows_of_scripts_of_now(backend: Backend, watch: Watch) -> None:
    """A row that began after the IOC's start is not of a dead IOC."""
    watched = watch(backend.url)
    watched.register()
    watched.until_written()
    watched.registry.close(5)
    shutil.rmtree(watched.state_dir / "registry")  # nobody registered it: the script wrote it
    second = watch(backend.url)
    second.registry.reconcile([NAME], STARTED)
    second.until_written()
    assert backend.sql("SELECT running FROM iocrt") == [(1,)]
    third = watch(backend.url)
    third.registry.reconcile([NAME], STARTED + 1)
    third.until_written()
    assert backend.sql("SELECT running FROM iocrt") == [(0,)]


def test_row_of_a_living_process_stays(backend: Backend, watch: Watch) -> None:
    """A row that began before the IOC is stopped, unless its process still runs on this host."""
    maker = watch(backend.url, "maker")
    maker.register("ALIVE", pid=os.getpid(), started=time.time())
    maker.register("DEAD", pid=os.getpid())  # began before this process did: a pid of another
    maker.until_written()
    watched = watch(backend.url)
    watched.registry.reconcile(["ALIVE", "DEAD"], time.time() + 60)
    watched.until_written()
    rows = backend.sql("SELECT iocname, running FROM iocrt ORDER BY iocname")
    assert rows == [("ALIVE", 1), ("DEAD", 0)]


def test_end_that_comes_late_leaves_the_row_of_another(mariadb: MySqlBackend, watch: Watch) -> None:
    """A run that began and ended in an outage does not replace a row that a script has written."""
    watched = watch(mariadb.url, backoff=0.05)
    watched.register()
    watched.until_written()
    watched.registry.stopped(NAME, STARTED + 1)
    watched.until_written()
    mariadb.spoil()
    watched.register(pid=5, started=STARTED + 2)
    watched.registry.stopped(NAME, STARTED + 3)
    watched.until_problem("trying again")
    mariadb.sql("UPDATE iocrt SET running = 1, pid = 77")
    mariadb.mend()
    watched.until_written()
    assert mariadb.sql("SELECT running, pid FROM iocrt") == [(1, 77)]


def test_row_of_another_program_is_told(mariadb: MySqlBackend, watch: Watch) -> None:
    """If another program has taken a row since, REGISTRY:MSG says so."""
    watched = watch(mariadb.url)
    watched.register(pid=1)
    watched.register(pid=2, instance="BGRSCRPT_02")
    watched.until_written()
    mariadb.sql("UPDATE iocrt SET pid = 77")
    watched.registry.stopped(NAME, STARTED + 5, instance="BGRSCRPT_02")
    message = "not registered: the row of 'BGRSCRPT_01' is that of another program (pid 77)"
    assert watched.until_problem("another program").message == message
    assert mariadb.sql("SELECT running, pid FROM iocrt") == [(1, 77)]
