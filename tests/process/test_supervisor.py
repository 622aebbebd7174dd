"""One instance, with real children and no Channel Access: what its readings say is what happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.lifecycle.events import CommandFailed, Severity, State
from bgrscrpt_ioc.process.frames import MessageReader
from bgrscrpt_ioc.process.messages import Alive
from bgrscrpt_ioc.script.heartbeat import Heartbeat
from bgrscrpt_ioc.script.kept import KeptFile
from tests.process.scripts import alive
from tests.process.supervised import DEADLINE, FOREVER, Bench


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
    looked = supervisor.refresh("SCRIPT:CHANGED")
    assert looked is not None
    await looked
    assert bench.readings.value("SCRIPT:CHANGED") == 1
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
    supervisor = bench.supervise("raise ValueError('bad')\n", restart="never", healthy_after=2.0)
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
    # In any order: each is posted ten times a second at most.
    await bench.readings.until("PROGRESS", 100.0)
    await bench.readings.until("HEARTBEAT", 3)
    await bench.readings.until("MESSAGE", "Messung läuft")


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
    assert KeptFile(bench.directory / "state.json").load()[0].autorestart is False
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
    monkeypatch.setattr("bgrscrpt_ioc.script.kept.RETRY", 0.02)
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
    assert KeptFile(state).load()[0].autorestart is False


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
    assert KeptFile(bench.directory / "state.json").load()[0].wanted is True


async def test_a_fault_of_ours_completes_the_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in what a launch calls makes START fail, with a traceback in the IOC's log."""
    monkeypatch.setattr("bgrscrpt_ioc.script.launcher.ScriptProcess", lambda *_, **__: 1 // 0)
    supervisor = bench.supervise(restart="never")
    with pytest.raises(CommandFailed, match="an internal error of the IOC, see the log of the IOC"):
        await supervisor.start("a@h")
    assert "ZeroDivisionError" in caplog.text


async def test_guardian_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guardian that is killed is started again and knows the sessions."""
    monkeypatch.setattr("bgrscrpt_ioc.host.posix.guardian.AGAIN", 0.01)
    supervisor = bench.supervise()
    await supervisor.start("a@h")
    first = bench.guardian.pid
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        while bench.guardian.pid == first:
            await asyncio.sleep(0.01)
    assert alive(bench.guardian.pid)


async def test_cpu_is_of_the_last_moments(bench: Bench) -> None:
    """A first look measures a short window that begins then, and not the time since the launch."""
    os.mkfifo(bench.directory / "go")
    supervisor = bench.supervise("""
        import time
        while time.process_time() < 1:
            pass
        print("idle", flush=True)
        open("go").close()
        while True:
            pass
    """)
    launched = time.monotonic()
    await supervisor.start("a@h")
    await bench.readings.until("LOG", "idle")
    measured = supervisor.refresh("CPU")
    assert measured is not None
    await measured
    # An idle script takes nothing, however busy the machine is: a tick of 10 ms at most.
    assert bench.readings.value("CPU") < 100 / (time.monotonic() - launched) / 2
    (bench.directory / "go").open("w").close()
    async with asyncio.timeout(DEADLINE):
        while bench.readings.value("CPU") < 10:
            if measured := supervisor.refresh("CPU"):
                await measured
            await asyncio.sleep(0.1)


async def test_heartbeat_never_goes_back(bench: Bench) -> None:
    """Children count for themselves, and a new run anew: HEARTBEAT only rises."""
    text = """
        import bgrscrpt, os
        for _ in range(3):
            bgrscrpt.alive()
        pid = os.fork()
        for _ in range(4):
            bgrscrpt.alive()
        if pid:
            os.waitpid(pid, 0)
            bgrscrpt.message("done")
            import time
            time.sleep(1000)
    """
    supervisor = bench.supervise(text)
    await supervisor.start("a@h")
    await bench.readings.until("MESSAGE", "done")
    await supervisor.restart("a@h")
    await bench.readings.until("HEARTBEAT", 22)
    beats = [value for name, value in bench.readings.history if name == "HEARTBEAT"]
    assert beats == sorted(beats)
    assert beats[-1] == 22


@pytest.mark.parametrize("frames", [b"2=%b1=%b", b"1=%b2=%b"])
def test_heartbeats_of_a_child_that_come_with_the_parents(frames: bytes) -> None:
    """Read at once, in whatever order, seven calls of the script and four of its child are 11."""
    beat = b'{"kind":"alive","count":%d}\n'
    script, child = beat % 7, beat % 4  # a child counts for itself
    earlier = b"".join(b"1=" + beat % number for number in range(1, 7))
    earlier += b"".join(b"2=" + beat % number for number in range(1, 4))
    last = frames % ((child, script) if frames.startswith(b"2") else (script, child))
    heartbeat = Heartbeat()
    for message in MessageReader().feed(earlier + last):
        assert isinstance(message, Alive)
        heartbeat.beat(message.count, message.calls)
    assert heartbeat.count == 11


LONG = {
    "1 MB in a line": "'x' * 1_100_000",
    "2 kB in a line": "'x' * 2000",
    "40 kB of lines": "'many lines\\n' * 4000",
    "letters of two bytes": "'Ж' * 100_000",
}


@pytest.mark.parametrize("name", LONG)
async def test_long_exceptions_keep_their_place(bench: Bench, name: str) -> None:
    """However long the text of an exception is, ERROR ends with its place, TRACEBACK has frames."""
    supervisor = bench.supervise(
        f"def deep():\n    raise ValueError({LONG[name]})\n\n\ndeep()\n", restart="never"
    )
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FAILED)
    error, traceback = bench.readings.value("ERROR"), bench.readings.value("TRACEBACK")
    assert error.startswith("ValueError: ")
    assert error.endswith(" (script.py:2)")
    assert len(error.encode()) < 1024
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert f'File "{bench.script}", line 2, in deep\n' in traceback
    assert len(traceback.encode()) < 16000
    assert len(bench.readings.value("STATUS:MSG").encode()) < 1024
    assert bench.readings.value("STATUS:MSG").endswith(" (script.py:2)")


async def test_children_of_a_good_end_are_told(bench: Bench) -> None:
    """A script that ends with exit 0 and leaves children: STATUS:MSG says how many were ended."""
    supervisor = bench.supervise("""
        import subprocess
        for _ in range(2):
            subprocess.Popen(["sleep", "1000"])
    """)
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FINISHED)
    assert bench.readings.value("STATUS:MSG") == "exit 0; 2 processes that it left were ended"


WRAPPERS = {
    "prints a line": "echo 'activating base'",
    "prints no whole line": "printf 'activating base'",
}


@pytest.mark.parametrize("name", WRAPPERS)
async def test_a_wrapper_that_prints(bench: Bench, name: str) -> None:
    """What a wrapper prints before Python confuses neither the start nor a restart."""
    python = bench.directory / "python"
    python.write_text(f'#!/bin/sh\n{WRAPPERS[name]}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    supervisor = bench.supervise(python=python)
    await supervisor.start("a@h")
    await supervisor.check("a@h")
    await supervisor.restart("a@h")
    assert bench.readings.value("STATUS") == State.RUNNING


async def test_a_wrapper_that_reads_stdin(bench: Bench) -> None:
    """START by a wrapper that leaves nothing of stdin to Python fails, and says why."""
    python = bench.directory / "python"
    python.write_text(f'#!/bin/sh\ncat >/dev/null\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    # The wrapper does not end by itself.
    supervisor = bench.supervise(
        python=python, restart="never", start_timeout=1.0, stop_timeout=0.5
    )
    with pytest.raises(
        CommandFailed, match="a wrapper that reads the stdin that is meant for Python"
    ):
        await supervisor.start("a@h")


async def test_no_script_where_none_is(bench: Bench) -> None:
    """A script in a directory that does not exist is named, and not the directory."""
    nowhere = bench.directory / "no" / "dir"
    supervisor = bench.supervise(script=nowhere / "x.py", cwd=nowhere, restart="never")
    with pytest.raises(CommandFailed, match=rf"the script {nowhere}/x\.py does not exist"):
        await supervisor.start("a@h")
