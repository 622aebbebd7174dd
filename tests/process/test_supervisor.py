"""One instance, with real children and no Channel Access: what its readings say is what happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.events import CommandFailed, Severity, State
from bgrscrpt_ioc.guard import Guardian
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.output import Output
from bgrscrpt_ioc.output.writer import Writer
from bgrscrpt_ioc.posix import Reaper
from bgrscrpt_ioc.registry.registry import Registry
from bgrscrpt_ioc.services import Services
from bgrscrpt_ioc.state import StateFile
from bgrscrpt_ioc.supervisor import Supervisor
from bgrscrpt_ioc.usage import ProcessTable
from bgrscrpt_ioc.worker import Worker

DEADLINE = 30.0  # s: an answer that takes longer is none
FOREVER = "import time\nprint('up', flush=True)\ntime.sleep(1000)\n"


class Readings(dict[str, tuple[Any, Severity]]):
    """What the supervisor has published, and a way to wait for more."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.history: list[tuple[str, Any]] = []

    def publish(self, name: str, value: Any, severity: Severity = Severity.NO_ALARM) -> None:
        if self.get(name) != (value, severity):
            self[name] = (value, severity)
            self.history.append((name, value))
            self._changed.set()

    def value(self, name: str) -> Any:
        return self[name][0]

    async def until(self, name: str, good: Callable[[Any], bool] | Any) -> None:
        """Wait until a reading is what is wanted, or fail with what it is."""
        is_good = good if callable(good) else (lambda value: value == good)
        try:
            async with asyncio.timeout(DEADLINE):
                while not (name in self and is_good(self.value(name))):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"{name} is {self.get(name)}: {dict(self)}")


class Bench:
    """A supervisor and all that it needs, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.script = directory / "script.py"
        self.database = directory / "iocdb.sqlite"
        self.readings = Readings()
        self.reaper = Reaper()
        self.reaper.start()
        self.ioc_id = posix.own_id()
        self.guardian = Guardian(self.reaper, self.ioc_id)
        self.guardian.start()
        loop = asyncio.get_running_loop()
        self.registry = Registry(
            f"sqlite:///{self.database}",
            directory,
            lambda _name: loop.call_soon_threadsafe(self.supervisor.registry_changed) and None,
        )
        self.worker = Worker()
        self.writer = Writer("test")
        self.supervisor: Supervisor

    def supervise(self, text: str = FOREVER, **settings: Any) -> Supervisor:
        """Write the script and make its supervisor."""
        self.write(text)
        values = {
            "name": "BGRSCRPT_01",
            "script": self.script,
            "python": sys.executable,
            "cwd": self.directory,
            "backoff": 0.05,
            "stop_timeout": 1.0,
        }
        instance = InstanceSettings(**{**values, **settings})
        services = Services(
            "TE:",
            self.ioc_id,
            self.reaper,
            self.guardian,
            self.registry,
            self.worker,
            ProcessTable(),
        )
        log = LogFile(self.directory / "log", instance.name, self.writer)
        self.supervisor = Supervisor(
            instance,
            services,
            key=f"test{os.getpid()}/{instance.name}",
            output=Output(instance.name, 16000, log, None, self.readings.publish),
            publish=self.readings.publish,
            own_pvs=(),
            state_file=StateFile(self.directory / "state.json"),
        )
        return self.supervisor

    def write(self, text: str) -> None:
        self.script.write_text(textwrap.dedent(text))

    async def close(self) -> None:
        await self.supervisor.shutdown()
        await asyncio.to_thread(self.registry.close, DEADLINE)
        self.worker.close(DEADLINE)
        self.writer.close(DEADLINE)
        ended = asyncio.get_running_loop().create_future()
        self.reaper.watch(self.guardian.pid, ended.set_result)
        self.guardian.stop()
        await ended
        self.reaper.stop()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench whose script is stopped, whatever the test has done."""
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


def alive(pid: int) -> bool:
    return posix.look_up(pid) is not None


async def test_start_returns_when_running(bench: Bench) -> None:
    """START ends with the script in Running, its pid and its hash published."""
    supervisor = bench.supervise()
    await supervisor.start("alice@ndw1234")
    readings = bench.readings
    assert readings["STATUS"] == (State.RUNNING, Severity.NO_ALARM)
    assert readings.value("STATUS:MSG") == "started by alice@ndw1234"
    assert psutil.Process(readings.value("PID")).cmdline()[:2] == [sys.executable, "-I"]
    assert len(readings.value("SCRIPT:SHA256")) == 64
    assert readings.value("PYTHON").startswith(sys.executable)
    await readings.until("LOG", "up")


async def test_stop_returns_when_nothing_lives(bench: Bench) -> None:
    """STOP ends when the script and what it left behind are gone, daemons included."""
    supervisor = bench.supervise("""
        import os, subprocess, sys, time
        code = "import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(1000)"
        subprocess.Popen([sys.executable, "-c", code])
        time.sleep(1000)
    """)
    await supervisor.start("a@h")
    await bench.readings.until("LOG", str.isdigit)
    pids = bench.readings.value("PID"), int(bench.readings.value("LOG"))
    await supervisor.stop("bob@h")
    assert not any(map(alive, pids))
    assert bench.readings["STATUS"] == (State.STOPPED, Severity.NO_ALARM)
    assert bench.readings.value("STATUS:MSG") == "stopped by bob@h"
    assert bench.readings.value("PID") == 0


async def test_stop_of_a_deaf_script(bench: Bench) -> None:
    """A script that ignores SIGINT and SIGTERM is killed, and the reason says so."""
    supervisor = bench.supervise(
        """
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("deaf", flush=True)
        while True:
            time.sleep(1000)
        """,
        stop_timeout=0.2,
    )
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "deaf")
    await supervisor.stop("a@h")
    assert bench.readings.value("EXITREASON") == "SIGKILL (did not stop)"


async def test_stop_is_no_error_of_the_script(bench: Bench) -> None:
    """The KeyboardInterrupt of a STOP is not shown as the script's last exception."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "up")
    await supervisor.stop("a@h")
    assert bench.readings.value("EXITREASON") == "SIGINT"
    assert "ERROR" not in bench.readings


async def test_failure_tells_why(bench: Bench) -> None:
    """An uncaught exception is in ERROR, TRACEBACK, EXITCODE and STATUS:MSG."""
    supervisor = bench.supervise("raise ValueError('bad')\n", restart="never")
    await supervisor.start("a@h")  # its first line was reached
    await bench.readings.until("STATUS", State.FAILED)
    readings = bench.readings
    assert readings["STATUS"][1] is Severity.MAJOR
    assert readings.value("ERROR") == "ValueError: bad (script.py:1)"
    assert readings.value("TRACEBACK").startswith("Traceback (most recent call last):\n  File")
    assert (readings.value("EXITCODE"), readings.value("EXITREASON")) == (1, "exit 1")
    assert readings.value("STATUS:MSG") == "exit 1: ValueError: bad (script.py:1)"


async def test_the_ioc_log_has_alarms(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Who reads the IOC's own log sees that a script is in alarm, and why."""
    supervisor = bench.supervise("raise ValueError('bad')\n", restart="never")
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FAILED)
    assert "BGRSCRPT_01: Failed: exit 1: ValueError: bad (script.py:1)" in caplog.messages


async def test_a_script_that_does_not_compile(bench: Bench) -> None:
    """START of a script with a SyntaxError fails with that error."""
    supervisor = bench.supervise("x = = 1\n", restart="never")
    with pytest.raises(CommandFailed, match=r"SyntaxError: .* \(script.py:1\)"):
        await supervisor.start("a@h")


async def test_no_interpreter(bench: Bench) -> None:
    """Without an interpreter, START fails and names it."""
    supervisor = bench.supervise(python=Path("/nowhere/python"), restart="never")
    with pytest.raises(CommandFailed, match="cannot run /nowhere/python: No such file"):
        await supervisor.start("a@h")
    assert bench.readings.value("STATUS") == State.FAILED
    assert bench.readings.value("EXITREASON") == "not started"


async def test_restart_of_a_bad_script_keeps_the_old_one(bench: Bench) -> None:
    """RESTART checks first: the run that is good stays, with the same pid."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    pid = bench.readings.value("PID")
    bench.write("def f(:\n")
    with pytest.raises(CommandFailed, match="not restarted, the script is bad: SyntaxError"):
        await supervisor.restart("a@h")
    assert (bench.readings.value("PID"), alive(pid)) == (pid, True)


async def test_restart_runs_the_new_text(bench: Bench) -> None:
    """RESTART of a changed script ends the old process and runs the new text."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    pid, before = bench.readings.value("PID"), bench.readings.value("SCRIPT:SHA256")
    await bench.readings.until("SCRIPT:CHANGED", 0)
    bench.write("print('new', flush=True)\n" + FOREVER)
    supervisor.refresh("SCRIPT:CHANGED")
    await bench.readings.until("SCRIPT:CHANGED", 1)
    await supervisor.restart("a@h")
    assert not alive(pid)
    assert bench.readings.value("SCRIPT:SHA256") != before
    await bench.readings.until("SCRIPT:CHANGED", 0)
    assert (bench.readings.value("STARTS"), bench.readings.value("RESTARTS")) == (2, 0)


async def test_backoff_counts_automatic_restarts(bench: Bench) -> None:
    """A script that fails is started again by itself, until the limit."""
    supervisor = bench.supervise("raise SystemExit(3)\n", start_limit=3)
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FAILED)
    assert (bench.readings.value("STARTS"), bench.readings.value("RESTARTS")) == (3, 2)
    assert bench.readings.value("STATUS:MSG") == "exit 3; gave up after 3 failures in a row"


async def test_crash_shows_where(bench: Bench) -> None:
    """A segfault's TRACEBACK is faulthandler's, without our own frame."""
    supervisor = bench.supervise("import faulthandler\nfaulthandler._sigsegv()\n", restart="never")
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FAILED)
    assert bench.readings.value("EXITCODE") == -signal.SIGSEGV
    assert bench.readings.value("ERROR").startswith("SIGSEGV")
    traceback = bench.readings.value("TRACEBACK")
    assert traceback.startswith("Fatal Python error: Segmentation fault")
    assert f'File "{bench.script}", line 2' in traceback
    assert "bootstrap" not in traceback


async def test_error_is_forgotten_by_a_healthy_run(bench: Bench) -> None:
    """ERROR and TRACEBACK stay over restarts until a run has proved healthy."""
    supervisor = bench.supervise("raise ValueError('bad')\n", restart="never", healthy_after=0.3)
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FAILED)
    bench.write(FOREVER)
    await supervisor.start("a@h")
    assert bench.readings.value("ERROR") == "ValueError: bad (script.py:1)"
    await bench.readings.until("ERROR", "")
    assert bench.readings.value("TRACEBACK") == ""


async def test_check_runs_nothing(bench: Bench) -> None:
    """CHECK says whether the file on disk compiles and leaves what runs alone."""
    supervisor = bench.supervise("open('ran', 'w')\n")
    await supervisor.check("a@h")
    assert bench.readings.value("STATUS:MSG") == "the script compiles (checked by a@h)"
    bench.write("if\n")
    with pytest.raises(CommandFailed, match="the script is bad: SyntaxError"):
        await supervisor.check("a@h")
    assert not (bench.directory / "ran").exists()
    assert bench.readings.value("STATUS") == State.STOPPED


async def test_what_the_script_says(bench: Bench) -> None:
    """HEARTBEAT, MESSAGE and PROGRESS are the script's own words."""
    supervisor = bench.supervise("""
        import bgrscrpt, time
        for _ in range(3):
            bgrscrpt.alive()
        bgrscrpt.message("Messung läuft")
        bgrscrpt.progress(150)
        time.sleep(1000)
    """)
    await supervisor.start("a@h")
    await bench.readings.until("PROGRESS", 100.0)
    assert bench.readings.value("HEARTBEAT") == 3
    assert bench.readings.value("MESSAGE") == "Messung läuft"


async def test_missed_heartbeat_is_an_alarm(bench: Bench) -> None:
    """A script that goes quiet keeps Running, in MAJOR alarm, until it is heard again."""
    supervisor = bench.supervise(
        """
        import bgrscrpt, os, time
        while not os.path.exists("again"):
            time.sleep(0.01)
        while True:
            bgrscrpt.alive()
            time.sleep(0.01)
        """,
        heartbeat_timeout=0.5,
    )
    await supervisor.start("a@h")
    await bench.readings.until("STATUS:MSG", "no heartbeat for 0.5 s")
    assert bench.readings["STATUS"] == (State.RUNNING, Severity.MAJOR)
    (bench.directory / "again").touch()
    await bench.readings.until("STATUS:MSG", "the heartbeat is back")
    assert bench.readings["STATUS"] == (State.RUNNING, Severity.NO_ALARM)


async def test_hung_script_is_restarted(bench: Bench) -> None:
    """With `restart_when_hung` a missed heartbeat is followed by a new run."""
    supervisor = bench.supervise(heartbeat_timeout=0.3, restart_when_hung=True)
    await supervisor.start("a@h")
    await bench.readings.until("RESTARTS", 1)


async def test_autorestart_outlives_the_ioc(bench: Bench) -> None:
    """AUTORESTART set by a client is there again in the next IOC, whatever the settings say."""
    supervisor = bench.supervise()
    supervisor.set_autorestart(False, "a@h")
    await bench.readings.until("AUTORESTART", 0)
    bench.worker.close(DEADLINE)
    assert StateFile(bench.directory / "state.json").load()[0].autorestart is False
    bench.worker = Worker()
    bench.supervise()
    assert bench.readings.value("AUTORESTART") == 0


@pytest.mark.parametrize(
    ("at_start", "last", "state"),
    [
        ("run", False, State.RUNNING),
        ("last", False, State.STOPPED),
        ("last", True, State.RUNNING),
        ("last", None, State.RUNNING),
        ("stop", True, State.STOPPED),
    ],
)
async def test_at_start(bench: Bench, at_start: str, last: bool | None, state: State) -> None:
    """What a starting IOC does is the setting's word, and for "last" the user's last one."""
    if last is not None:
        (bench.directory / "state.json").write_text(f'{{"wanted": {str(last).lower()}}}')
    bench.supervise(at_start=at_start).begin()
    await bench.readings.until("STATUS", state)
    assert ("STATUS", State.STARTING) not in bench.readings.history or state is State.RUNNING


async def test_state_that_could_not_be_saved(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Disk trouble is told, and what is to be kept is saved when it is over, with no new change."""
    monkeypatch.setattr("bgrscrpt_ioc.state.RETRY", 0.02)
    state = bench.directory / "state.json"
    supervisor = bench.supervise()
    state.mkdir()
    supervisor.set_autorestart(False, "a test")
    async with asyncio.timeout(DEADLINE):
        while "cannot be kept" not in caplog.text:
            await asyncio.sleep(0.01)
        state.rmdir()
        while not state.is_file():
            await asyncio.sleep(0.01)
    assert StateFile(state).load()[0].autorestart is False


async def test_registration_reaches_the_database(bench: Bench) -> None:
    """`register_ioc_start` becomes a row with the script's pid; its end is written too."""
    supervisor = bench.supervise(
        "from server_common.helpers import register_ioc_start\n"
        "register_ioc_start('BGRSCRPT_01')\n" + FOREVER
    )
    await supervisor.start("a@h")
    await bench.readings.until("REGISTERED", 1)
    query = "SELECT pid, running, exe_path FROM iocrt"
    with closing(sqlite3.connect(bench.database)) as database:
        row = database.execute(query).fetchone()
    assert row == (bench.readings.value("PID"), 1, str(bench.script)[:100])
    await supervisor.stop("a@h")
    await asyncio.to_thread(bench.registry.close, DEADLINE)
    with closing(sqlite3.connect(bench.database)) as database:
        assert database.execute(query).fetchone()[:2] == (None, 0)


async def test_usage_is_of_the_whole_tree(bench: Bench) -> None:
    """PROCS and MEMORY count the script's children too."""
    supervisor = bench.supervise("""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "print('x', flush=True); input()"],
                                 stdin=subprocess.PIPE)
        time.sleep(1000)
    """)
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "x")
    supervisor.refresh("PROCS")
    assert bench.readings.value("PROCS") == 2
    assert bench.readings.value("THREADS") == 2
    assert 5 < bench.readings.value("MEMORY") < 200


async def test_shutdown_keeps_the_wanted_state(bench: Bench) -> None:
    """The IOC's end stops the script but is no user's STOP."""
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    pid = bench.readings.value("PID")
    await supervisor.shutdown()
    assert not alive(pid)
    with pytest.raises(CommandFailed, match="shutting down"):
        await supervisor.start("a@h")
    bench.worker.close(DEADLINE)
    assert StateFile(bench.directory / "state.json").load()[0].wanted is True


async def test_a_fault_of_ours_completes_the_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in what a launch calls makes START fail, with a traceback in the IOC's log."""
    monkeypatch.setattr("bgrscrpt_ioc.supervisor.launch", lambda *_, **__: 1 // 0)
    supervisor = bench.supervise(restart="never")
    with pytest.raises(CommandFailed, match="a fault of the IOC, see its log"):
        await supervisor.start("a@h")
    assert "ZeroDivisionError" in caplog.text


async def test_guardian_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guardian that is killed is started again and knows the sessions."""
    monkeypatch.setattr("bgrscrpt_ioc.guard.AGAIN", 0.01)
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    first = bench.guardian.pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        while bench.guardian.pid == first:
            await asyncio.sleep(0.01)
    assert alive(bench.guardian.pid)
