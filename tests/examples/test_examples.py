"""Each example of `scripts_examples` on a real IOC, as a client over the real libca sees it."""

from __future__ import annotations

import csv
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from benchmarks.rig.ca import ECA_NORMAL, HERE, STRING, Client, Peer, ca_environ, free_port
from benchmarks.rig.iocs import Ioc, until
from tests.examples.instrument import EXAMPLES, INVALID, Instrument

pytestmark = pytest.mark.timeout(600)
NAME = "BGRSCRPT_01:"
SAMPLE, SET_POINT = "TE:DEMO:CS:SB:Temp_Sample", "TE:DEMO:CS:SB:Temp_SP"


class Running:
    """An IOC that runs an example, and a client of it."""

    def __init__(self, ioc: Ioc, client: Client) -> None:
        self.ioc, self.client = ioc.ready(), client

    def text(self, name: str) -> str:
        return self.client.text("TE:DEMO:" + name)

    def get(self, name: str, kind: int | None = None) -> object:
        return self.client.get("TE:DEMO:" + name, kind)

    def until_message(self, text: str, name: str = NAME) -> None:
        """Wait until MESSAGE has this in it."""
        until(lambda: text in self.text(name + "MESSAGE"))

    def restart(self) -> None:
        """Restart BGRSCRPT_01, and wait for it."""
        assert self.client.put_callback(f"TE:DEMO:{NAME}RESTART") == ECA_NORMAL


Run = Callable[..., Running]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run an example; keywords are its `env`, `other` is the port of what it reads from."""
    with ExitStack() as stack:

        def start(script: str | Path, *options: str, other: int = 9, **env: object) -> Running:
            given = [f"--env={key}={value}" for key, value in env.items()]
            environ = {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{other}"}
            arguments = (EXAMPLES / script, "--prefix", "TE:DEMO:", *given, *options)
            ioc = stack.enter_context(Ioc(tmp_path, *arguments, environ=environ))
            ioc.ready()
            return Running(ioc, stack.enter_context(Client(ioc.port)))

        yield start


# --- heartbeat_and_progress.py -------------------------------------------------------------------


def test_heartbeat_and_progress(run: Run) -> None:
    """The example shows its progress, beats once for each point, and ends with exit code 0."""
    running = run("heartbeat_and_progress.py", POINTS=5, SECONDS=0.01)
    until(lambda: running.get(NAME + "STATUS", STRING) == "Finished")
    assert running.get(NAME + "HEARTBEAT") == 5
    assert running.get(NAME + "PROGRESS") == 100
    assert running.text(NAME + "MESSAGE") == "measured 5 points"
    log = running.text(NAME + "LOG").splitlines()
    assert [line.partition(" ")[2] for line in log] == [f"point {n}: {n * n}" for n in range(1, 6)]


def test_a_heartbeat_that_fails(run: Run) -> None:
    """A point that takes too long is a MAJOR alarm of STATUS, as its first lines promise."""
    running = run("heartbeat_and_progress.py", "--heartbeat-timeout", "0.5", SECONDS=10000)
    until(lambda: running.client.read(f"TE:DEMO:{NAME}STATUS", 15)["severity"] == 2)
    assert running.get(NAME + "STATUS", STRING) == "Running"
    assert running.text(NAME + "MESSAGE") == "point 1 of 100"


# --- data_logger.py ------------------------------------------------------------------------------


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], list[Path]]:
    """The files of the data logger, in the order in which they were begun."""
    directory = tmp_path / "csv"

    def number(path: Path) -> tuple[str, int]:
        day, _, count = path.stem.partition("_")
        return day, int(count or "1")

    return lambda: sorted(directory.glob("*.csv"), key=number)


def values(files: list[Path], column: int) -> list[str]:
    """What was written of one PV, each value once as long as it stayed."""
    found: list[str] = []
    for path in files:
        for row in rows(path)[1:]:
            if not found or found[-1] != row[column]:
                found.append(row[column])
    return found


def test_the_data_logger(
    run: Run, instrument: Instrument, tmp_path: Path, log: Callable[[], list[Path]]
) -> None:
    """A row at each time; gaps while a PV is not to be believed; a restart goes on in the file."""
    pvs = f"{SAMPLE} TE:DEMO:NO:SUCH:PV TE:DEMO:DAE:RUNSTATE"
    env = {"PVS": pvs, "DIRECTORY": tmp_path / "csv", "INTERVAL": 0.05}
    running = run("data_logger.py", other=instrument.port, **env)
    until(lambda: log() and values(log(), 1)[-1:] == ["280.0"])
    instrument.put("SIM:Temp_Sample:SEVR", INVALID)
    until(lambda: values(log(), 1)[-1] == "")
    instrument.put("SIM:Temp_Sample:SEVR", 0)
    until(lambda: values(log(), 1)[-1] == "280.0")
    running.restart()
    instrument.put("CS:SB:Temp_Sample", 281.25)
    until(lambda: values(log(), 1)[-1] == "281.25")
    assert list(dict.fromkeys(each for each in values(log(), 1) if each)) == ["280.0", "281.25"]
    assert values(log(), 2) == [""]
    assert "RUNNING" in values(log(), 3)
    for path in log():  # two, if it was midnight
        header, *data = rows(path)
        assert header == ["time", *pvs.split()]
        assert all(re.fullmatch(r"[-\d]+T[\d:.]+[+-]\d\d:\d\d", row[0]) for row in data)
        assert {len(row) for row in data} == {4}
    assert running.text(NAME + "MESSAGE") == f"writing {log()[-1]}; no value of TE:DEMO:NO:SUCH:PV"


def test_files_that_are_full(run: Run, tmp_path: Path, log: Callable[[], list[Path]]) -> None:
    """A full file is followed by the next; each has the header; a restart fills the last one."""
    env = {"PVS": "A B", "DIRECTORY": tmp_path / "csv", "INTERVAL": 0.02, "MAX_BYTES": 100}
    running = run("data_logger.py", **env)
    until(lambda: len(log()) >= 4)
    running.restart()
    until(lambda: len(log()) >= 7)
    sizes = [path.stat().st_size for path in log()[:6]]
    assert all(100 <= size < 150 for size in sizes), sizes
    assert all(rows(path)[0] == ["time", "A", "B"] for path in log()[:6])


def test_what_the_data_logger_finds(
    run: Run, tmp_path: Path, log: Callable[[], list[Path]]
) -> None:
    """Half a row is taken away; a file of other PVs is left as it is; no directory is said once."""
    env = {"PVS": "A B", "DIRECTORY": tmp_path / "csv", "INTERVAL": 0.02}
    (tmp_path / "csv").touch()
    running = run("data_logger.py", **env)
    running.until_message("cannot write to ")
    beats = running.get(NAME + "HEARTBEAT")
    until(lambda: running.get(NAME + "HEARTBEAT") != beats)
    assert running.text(NAME + "LOG").count("cannot write to") == 1
    (tmp_path / "csv").unlink()
    until(lambda: log() and len(rows(log()[0])) > 2)
    assert running.client.put_callback(f"TE:DEMO:{NAME}STOP") == ECA_NORMAL
    first = log()[-1]
    whole = first.read_bytes()
    first.write_bytes(whole + b"2026-01-01T00:00,half")
    assert running.client.put_callback(f"TE:DEMO:{NAME}START") == ECA_NORMAL
    until(lambda: b"half" not in first.read_bytes() and first.stat().st_size > len(whole))
    assert first.read_bytes().startswith(whole)
    assert {len(row) for row in rows(first)} == {3}


# --- averager.py ---------------------------------------------------------------------------------

RECORDS = """
record(ao, "TE:DEMO:IN") { field(VAL, "10") field(PINI, "YES")
    field(HIHI, "1000") field(HHSV, "INVALID") }
"""


def test_the_averager(run: Run, tmp_path: Path) -> None:
    """The averager publishes the mean of a whole window as a PV, and no mean over a gap."""
    port, database = free_port(), tmp_path / "records.db"
    database.write_text(RECORDS)
    server = [sys.executable, str(HERE / "softioc_peer.py"), str(database), ""]
    env = {"SOURCE": "TE:DEMO:IN", "WINDOW": 9, "SAMPLES": 4}
    with Peer(server, ca_environ(port)), Client(port) as records:
        running = run("averager.py", other=port, **env)
        average, window = f"TE:DEMO:{NAME}AVERAGE", f"TE:DEMO:{NAME}WINDOW"
        assert running.client.put_callback(window, 0.4) == ECA_NORMAL
        seen = running.client.monitor(average)
        seen.wait_for(10)
        records.put_callback("TE:DEMO:IN", 20)
        values = [each for each in seen.wait_for(20) if each == each]
        assert values == sorted(values)
        assert set(values) <= {10, 12.5, 15, 17.5, 20}
        records.put_callback("TE:DEMO:IN", 2000)
        running.until_message("TE:DEMO:IN: disconnected or INVALID")
        assert running.client.read(average, 20)["severity"] == 3
        records.put_callback("TE:DEMO:IN", 30)
        assert seen.wait_for(30)[-2:] == [20, 30]  # nothing of before, nor of the 2000
    running.until_message("TE:DEMO:IN: disconnected or INVALID")
    with Peer(server, ca_environ(port)), Client(port) as records:
        seen.wait_for(10)
        running.until_message("averaging TE:DEMO:IN")
    assert running.get(NAME + "STARTS") == 1
    assert "Traceback" not in running.text(NAME + "LOG")


# --- scheduled_job.py ----------------------------------------------------------------------------


def test_the_scheduled_job(run: Run) -> None:
    """The scheduled job runs, and runs again."""
    running = run("scheduled_job.py", WHEN="0.01")
    until(lambda: running.text(NAME + "LOG").count("the job runs") >= 3)
    running.until_message(" done; next ")


def test_a_job_that_fails(run: Run, tmp_path: Path) -> None:
    """If a job fails, its traceback is printed, and the next run takes place."""
    script = tmp_path / "script.py"
    script.write_text(
        "import scheduled_job\nruns = []\n"
        "def job():\n    runs.append(1)\n    print('run', len(runs))\n"
        "    if len(runs) == 1:\n        raise ValueError('bad luck')\n"
        "scheduled_job.job = job\nscheduled_job.main()\n"
    )
    running = run(script, "--python-path", str(EXAMPLES), WHEN="0.05")
    running.until_message("failed: ValueError('bad luck'); next ")
    until(lambda: "run 2" in running.text(NAME + "LOG"))
    assert "in job\n" in running.text(NAME + "LOG")
    running.until_message(" done; next ")
    assert running.get(NAME + "STARTS") == 1


def test_a_time_of_day(run: Run) -> None:
    """A job at a time of day says when it will run, and does not run before."""
    running = run("scheduled_job.py", WHEN="06:00")
    running.until_message("not run yet; next ")
    assert re.search(r"next \d\d \w{3} 06:00$", running.text(NAME + "MESSAGE"))


# --- two_instances.py ----------------------------------------------------------------------------


def test_two_instances(tmp_path: Path, instrument: Instrument) -> None:
    """Each of two instances watches its own block, registers its own name, restarts alone."""
    config = tmp_path / "ioc.toml"
    script = EXAMPLES / "two_instances.py"
    config.write_text(
        "prefix = 'TE:DEMO:'\n"
        f"[defaults]\nscript = '{script}'\n[instance.BGRSCRPT_01]\n[instance.BGRSCRPT_02]\n"
    )
    environ = {"EPICS_CA_ADDR_LIST": f"127.0.0.1:{instrument.port}"}
    with (
        Ioc(tmp_path, "--config", config, environ=environ) as ioc,
        Client(ioc.ready().port) as client,
    ):
        running = Running(ioc, client)
        running.until_message("Temp_Sample is 280.0, fine")
        running.until_message("Temp_SP is 280.0, fine", "BGRSCRPT_02:")
        instrument.put("CS:SB:Temp_Sample", 305)
        running.until_message("Temp_Sample is 305.0, too hot")
        other = running.get("BGRSCRPT_02:PID")
        running.restart()
        running.until_message("Temp_Sample is 305.0, too hot")
        assert running.get("BGRSCRPT_02:PID") == other
        with closing(sqlite3.connect(tmp_path / "state/iocdb.sqlite")) as database:
            query = "SELECT iocname, pid FROM iocrt WHERE running = 1 ORDER BY iocname"
            pids = [running.get(f"BGRSCRPT_0{n}:PID") for n in (1, 2)]
            until(lambda: [pid for _, pid in database.execute(query).fetchall()] == pids)
