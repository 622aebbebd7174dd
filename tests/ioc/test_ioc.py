"""End to end: a libca client drives the IOC as users start it, with real scripts."""

from __future__ import annotations

import sqlite3
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.ca import ECA_NORMAL, STRING, Client
from benchmarks.rig.iocs import FOREVER, Ioc, survivors, until
from benchmarks.rig.where import PROGRAM, WINDOWS, here, native
from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.records.table import PROCSERV_RECORDS, RECORDS

P = "TE:BGRSCRPT_01:"
LINES = 20_000 if WINDOWS else 200_000  # Wine asks its server at each write


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


def test_every_pv_of_a_running_script(bench: Bench) -> None:
    """All PVs can be read, with the types of their records and values that are true."""
    text = "import bgrscrpt\nbgrscrpt.alive()\nbgrscrpt.message('m')\nbgrscrpt.progress(50)\n"
    today = time.strftime("%Y-%m-%d")
    client = bench.run(text + FOREVER)
    client.put_callback(P + "START")
    bench.until("LOG", bool)
    until(lambda: client.get(P + "PROGRESS") == 50.0)
    until(lambda: client.get(P + "HEARTBEAT") == 1 and client.text(P + "MESSAGE") == "m")
    of_the_script = [each for each in RECORDS if not each.name.startswith("IOC:")]
    texts = {x.name: client.text(P + x.name) for x in of_the_script if x.kind == "waveform"}
    values = {x.name: client.get(P + x.name) for x in of_the_script if x.name not in texts}
    assert texts["STATUS:MSG"].startswith("started by ")
    assert "@" in texts["STATUS:MSG"]
    assert texts["LOG"] == texts["LOG:LINE"] == "IOC started"
    assert texts["SCRIPT"] == native(bench.script)
    assert texts["PYTHON"].startswith(PROGRAM)
    assert len(texts["SCRIPT:SHA256"]) == 64
    until(lambda: here(texts["LOG:FILE"]).read_text().endswith(" IOC started\n"))
    assert (texts["MESSAGE"], texts["ERROR"], texts["TRACEBACK"]) == ("m", "", "")
    assert texts["REGISTRY:MSG"].startswith("not registered")
    expected = {
        "START": 0, "STOP": 0, "RESTART": 0, "CHECK": 0, "STACK": 0,
        "AUTORESTART": 1, "STATUS": 2,
        "LOG:COUNT": 1, "LOG:DROPPED": 0, "EXITCODE": 0, "EXITREASON": "", "STARTS": 1,
        "RESTARTS": 0, "RETRYIN": 0, "SCRIPT:GIT": "", "SCRIPT:CHANGED": 0, "REGISTERED": 0,
        "PROCS": 1, "THREADS": 2 if WINDOWS else 1, "HEARTBEAT": 1, "PROGRESS": 50,
    }  # fmt: skip
    assert {key: values.pop(key) for key in expected} == expected
    assert set(values) == {"PID", "STARTTIME", "UPTIME", "CPU", "MEMORY"}
    assert values["PID"] in survivors(bench.ioc.port)
    assert today <= values["STARTTIME"][:10] <= time.strftime("%Y-%m-%d")
    assert 0 < values["UPTIME"] < 600
    assert 5 < values["MEMORY"] < 100


def test_output_of_a_fast_printer(bench: Bench) -> None:
    """However fast it prints, LOG is posted ten times a second at most, and no line is lost."""
    client = bench.run(f"for n in range({LINES}):\n    print('line', n)\n", "--no-echo")
    monitor = client.monitor(P + "LOG:COUNT")
    began = time.monotonic()
    client.put_callback(P + "START")
    monitor.wait_for(LINES)
    assert len(monitor.values) <= 3 + 10 * (time.monotonic() - began)
    assert client.text(P + "LOG").endswith(f"line {LINES - 2}\nline {LINES - 1}")
    assert client.get(P + "LOG:DROPPED") == 0
    log = here(client.text(P + "LOG:FILE"))
    until(lambda: log.read_bytes().count(b" line ") == LINES)
    assert b"\r" not in log.read_bytes()


@pytest.mark.alone
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


def test_a_log_directory_that_cannot_be_written(bench: Bench) -> None:
    """The IOC serves, LOG works, and what is not on file is counted."""
    (bench.directory / "file").touch()
    client = bench.run(FOREVER, "--log-dir", bench.directory / "file" / "log")
    client.put_callback(P + "START")
    assert bench.until("LOG", bool) == "IOC started"
    until(lambda: client.get(P + "LOG:DROPPED") == 1)
    until(lambda: client.get(P + "LOG:DROPPED.SEVR", STRING) == "MINOR")


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
        until(lambda: client.get("TE:BGRSCRPT_01:STATUS", STRING) == "Running")
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
