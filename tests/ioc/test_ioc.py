"""End to end: a libca client drives the IOC as users start it, with real scripts."""

from __future__ import annotations

import sqlite3
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.ca.records import PROCSERV_RECORDS, RECORDS
from bgrscrpt_ioc.events import State
from tests.ioc.ca import ECA_NORMAL, ECA_PUTFAIL, STRING, Client
from tests.ioc.iocs import FOREVER, Ioc, survivors, until

P = "TE:BGRSCRPT_01:"
PYTHON = sys.executable


class Bench:
    """An IOC with one script, and a client of it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self.script = directory, directory / "script.py"
        self._stack = stack
        self.ioc: Ioc
        self.client: Client

    def write(self, text: str) -> None:
        self.script.write_text(textwrap.dedent(text))

    def run(self, text: str = FOREVER, *options: str | Path, **more: Any) -> Client:
        """Start the IOC with this script; at_start is "stop" unless it is given."""
        self.write(text)
        given = ["--at-start", "stop", "--backoff", "0.05", *options]
        ioc = Ioc(self.directory, self.script, "--prefix", "TE:", *given, **more)
        self.ioc = self._stack.enter_context(ioc).ready()
        self.client = self._stack.enter_context(Client(self.ioc.port))
        return self.client

    def until(self, name: str, good: Callable[[Any], bool]) -> Any:
        """Wait until a text PV is as wanted."""
        return until(lambda: good(text := self.client.text(P + name)) and text)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench that leaves nothing behind."""
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def test_start_completes_when_running(bench: Bench) -> None:
    """START with callback succeeds when the script runs, and not before."""
    client = bench.run()
    assert client.get(P + "STATUS") == State.STOPPED
    assert client.put_callback(P + "START") == ECA_NORMAL
    assert client.get(P + "STATUS", STRING) == "Running"
    assert client.get(P + "START", STRING) == "Done"
    assert client.get(P + "PID") in survivors(bench.ioc.port)
    assert bench.until("LOG", bool) == "IOC started"


def test_stop_completes_when_nothing_is_alive(bench: Bench) -> None:
    """STOP with callback succeeds when no process of the tree lives, daemons included."""
    client = bench.run("""
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            print("daemon", flush=True)
        time.sleep(1000)
    """)
    assert client.put_callback(P + "START") == ECA_NORMAL
    bench.until("LOG", bool)
    assert len(survivors(bench.ioc.port)) >= 2
    assert client.put_callback(P + "STOP") == ECA_NORMAL
    assert survivors(bench.ioc.port) == {}
    assert client.get(P + "STATUS", STRING) == "Stopped"


def test_restart_replaces_the_process(bench: Bench) -> None:
    """RESTART with callback succeeds with another process running; a monitor sees all the way."""
    client = bench.run()
    client.put_callback(P + "START")
    pid = client.get(P + "PID")
    monitor = client.monitor(P + "STATUS")
    assert client.put_callback(P + "RESTART") == ECA_NORMAL
    assert client.get(P + "PID") != pid
    assert posix.look_up(pid) is None
    states = [State.RUNNING, State.STOPPING, State.STARTING, State.RUNNING]
    client.wait_for(lambda: len(monitor.values) >= len(states))
    assert monitor.values == states


def test_failures_reach_the_client(bench: Bench) -> None:
    """A script that cannot start makes the put fail, and STATUS:MSG says why."""
    client = bench.run("x = = 1\n", "--restart", "never")
    assert client.put_callback(P + "START") == ECA_PUTFAIL
    assert "SyntaxError" in client.text(P + "STATUS:MSG")
    assert client.get(P + "STATUS", STRING) == "Failed"
    assert client.read(P + "START", STRING)["value"] == "Done"


def test_a_bad_script_does_not_replace_a_good_one(bench: Bench) -> None:
    """RESTART with a script that does not compile fails; the old one runs on."""
    client = bench.run()
    client.put_callback(P + "START")
    pid = client.get(P + "PID")
    bench.write("def f(:\n")
    assert client.put_callback(P + "RESTART") == ECA_PUTFAIL
    assert (client.get(P + "PID"), client.get(P + "STATUS")) == (pid, State.RUNNING)
    assert client.put_callback(P + "CHECK") == ECA_PUTFAIL
    assert "the script is bad: SyntaxError" in client.text(P + "STATUS:MSG")


def test_stop_comes_before_a_pending_start(bench: Bench) -> None:
    """STOP makes a START fail that has not reached its state yet, of the same client too."""
    slow = bench.directory / "python"
    slow.write_text("#!/bin/sh\nsleep 1000\n")
    slow.chmod(0o755)
    client = bench.run(FOREVER, "--python", slow)
    start = client.begin_put(P + "START")
    until(lambda: client.get(P + "STATUS") == State.STARTING)
    assert client.get(P + "START", STRING) == "Busy"
    assert client.put_callback(P + "STOP") == ECA_NORMAL
    assert client.answer(start) == ECA_PUTFAIL
    assert client.get(P + "STATUS") == State.STOPPED


def test_every_pv_of_a_running_script(bench: Bench) -> None:
    """All PVs can be read, with the types of their records and values that are true."""
    text = "import bgrscrpt\nbgrscrpt.alive()\nbgrscrpt.message('m')\nbgrscrpt.progress(50)\n"
    client = bench.run(text + FOREVER)
    client.put_callback(P + "START")
    bench.until("LOG", bool)
    until(lambda: client.get(P + "PROGRESS") == 50.0)
    texts = {each.name: client.text(P + each.name) for each in RECORDS if each.kind == "waveform"}
    values = {each.name: client.get(P + each.name) for each in RECORDS if each.name not in texts}
    assert texts["STATUS:MSG"].startswith("started by ")
    assert "@" in texts["STATUS:MSG"]
    assert texts["LOG"] == texts["LOG:LINE"] == "IOC started"
    assert texts["SCRIPT"] == str(bench.script)
    assert texts["PYTHON"].startswith(PYTHON)
    assert len(texts["SCRIPT:SHA256"]) == 64
    assert Path(texts["LOG:FILE"]).read_text().endswith(" IOC started\n")
    assert (texts["MESSAGE"], texts["ERROR"], texts["TRACEBACK"]) == ("m", "", "")
    assert texts["REGISTRY:MSG"].startswith("not registered")
    expected = {
        "START": 0, "STOP": 0, "RESTART": 0, "CHECK": 0, "AUTORESTART": 1, "STATUS": 2,
        "LOG:COUNT": 1, "LOG:DROPPED": 0, "EXITCODE": 0, "EXITREASON": "", "STARTS": 1,
        "RESTARTS": 0, "RETRYIN": 0, "SCRIPT:GIT": "", "SCRIPT:CHANGED": 0, "REGISTERED": 0,
        "PROCS": 1, "THREADS": 1, "HEARTBEAT": 1, "PROGRESS": 50,
    }  # fmt: skip
    assert {key: values.pop(key) for key in expected} == expected
    assert set(values) == {"PID", "STARTTIME", "UPTIME", "CPU", "MEMORY", "SPARE:MEMORY"}
    assert values["PID"] in survivors(bench.ioc.port)
    assert values["STARTTIME"][:10] == time.strftime("%Y-%m-%d")
    assert 0 < values["UPTIME"] < 60
    assert 5 < values["MEMORY"] < 100


def test_a_script_that_fails_says_so_everywhere(bench: Bench) -> None:
    """ERROR, TRACEBACK, EXITCODE, EXITREASON, STATUS and its alarm tell of an exception."""
    client = bench.run("raise ValueError('schlecht ß')\n", "--restart", "never")
    client.put_callback(P + "START")
    until(lambda: client.get(P + "STATUS", STRING) == "Failed")
    assert client.text(P + "ERROR") == "ValueError: schlecht ß (script.py:1)"
    assert client.text(P + "TRACEBACK").endswith("ValueError: schlecht ß\n")
    assert (client.get(P + "EXITCODE"), client.get(P + "EXITREASON")) == (1, "exit 1")
    assert client.get(P + "STATUS.SEVR", STRING) == "MAJOR"


def test_output_of_a_fast_printer(bench: Bench) -> None:
    """However fast it prints, LOG is posted ten times a second at most, and no line is lost."""
    client = bench.run("for n in range(200000):\n    print('line', n)\n")
    monitor = client.monitor(P + "LOG:COUNT")
    began = time.monotonic()
    client.put_callback(P + "START")
    monitor.wait_for(200000)
    assert len(monitor.values) <= 3 + 10 * (time.monotonic() - began)
    assert client.text(P + "LOG").endswith("line 199998\nline 199999")
    assert client.get(P + "LOG:DROPPED") == 0
    log = Path(client.text(P + "LOG:FILE"))
    until(lambda: log.read_bytes().count(b" line ") == 200000)


def test_usage_is_measured_while_watched(bench: Bench) -> None:
    """A monitor on CPU gets values once a second of what the script's tree takes."""
    client = bench.run("while True:\n    pass\n")
    client.put_callback(P + "START")
    monitor = client.monitor(P + "CPU")
    client.wait_for(lambda: any(value > 20 for value in monitor.values))


def test_registration_reaches_the_registry(bench: Bench) -> None:
    """The script's register_ioc_start is a row of the embedded registry, with the PVs' rows."""
    client = bench.run(
        "from server_common.helpers import register_ioc_start\n"
        "register_ioc_start('BGRSCRPT_01', {'X': {'type': 'ai', 'description': 'd'}}, 'TE:MY:')\n"
        + FOREVER
    )
    client.put_callback(P + "START")
    until(lambda: client.get(P + "REGISTERED", STRING) == "Yes")
    with closing(sqlite3.connect(bench.directory / "state" / "iocdb.sqlite")) as database:
        run = database.execute("SELECT iocname, pid, running FROM iocrt").fetchall()
        pvs = database.execute("SELECT pvname FROM pvs").fetchall()
        kept = database.execute("SELECT value FROM pvinfo WHERE pvname = ?", (P + "STATUS",))
        infos = kept.fetchall()
    assert run == [("BGRSCRPT_01", client.get(P + "PID"), 1)]
    assert {name for (name,) in pvs} == {P + each.name for each in RECORDS} | {"TE:MY:X"}
    assert infos


def test_autorestart_is_set_by_a_client(bench: Bench) -> None:
    """AUTORESTART takes a put by number or text; a text that means nothing does not change it."""
    client = bench.run()
    assert client.put_callback(P + "AUTORESTART", 0) == ECA_NORMAL
    assert client.get(P + "AUTORESTART", STRING) == "Off"
    assert client.put_callback(P + "AUTORESTART", "On") == ECA_NORMAL
    assert client.get(P + "AUTORESTART") == 1
    assert client.put_callback(P + "AUTORESTART", "perhaps") != ECA_NORMAL
    assert client.get(P + "AUTORESTART") == 1


def test_a_log_directory_that_cannot_be_written(bench: Bench) -> None:
    """The IOC serves, LOG works, and what is not on file is counted."""
    (bench.directory / "file").touch()
    client = bench.run(FOREVER, "--log-dir", bench.directory / "file" / "log")
    client.put_callback(P + "START")
    assert bench.until("LOG", bool) == "IOC started"
    until(lambda: client.get(P + "LOG:DROPPED") == 1)
    assert client.get(P + "LOG:DROPPED.SEVR", STRING) == "MINOR"


def test_several_instances_from_a_file(tmp_path: Path) -> None:
    """One IOC serves all instances of a file, and each line of their output carries its name."""
    (tmp_path / "one.py").write_text("print('eins')\n" + FOREVER)
    (tmp_path / "two.py").write_text("print('zwei')\nraise SystemExit('weg')\n")
    config = tmp_path / "instrument.toml"
    config.write_text(
        'prefix = "TE:"\n[defaults]\nrestart = "never"\n'
        '[instance.BGRSCRPT_01]\nscript = "one.py"\n[instance.BGRSCRPT_02]\nscript = "two.py"\n'
    )
    with Ioc(tmp_path, "--config", config) as ioc, Client(ioc.ready().port) as client:
        until(lambda: client.get("TE:BGRSCRPT_02:STATUS", STRING) == "Failed")
        assert client.get("TE:BGRSCRPT_01:STATUS", STRING) == "Running"
        assert client.text("TE:BGRSCRPT_02:ERROR") == "SystemExit: weg (two.py:2)"
        ioc.wait_for("BGRSCRPT_01: eins\n")
        ioc.wait_for("BGRSCRPT_02: zwei\n")


def test_names_of_procserv_control(bench: Bench) -> None:
    """With `procserv_pvs` screens made for procServControl work: names, texts and all."""
    client = bench.run(FOREVER, "--procserv-pvs")
    base = "TE:CS:PS:BGRSCRPT_01:"
    for record in PROCSERV_RECORDS:
        client.connect(base + record.name)
    assert client.get(base + "STATUS", STRING) == "Shutdown"
    assert client.put_callback(base + "START") == ECA_NORMAL
    assert client.get(base + "STATUS", STRING) == "Running"
    assert client.get(base + "IOCNAME") == "BGRSCRPT_01"
    before = client.get(base + "AUTORESTART")
    assert client.put_callback(base + "TOGGLE") == ECA_NORMAL
    assert client.get(base + "AUTORESTART") == 1 - before
    until(lambda: "IOC started" in client.text(base + "IOCOUT"))
