"""An IOC under Wine with real scripts, as a client on this host sees it over libca."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import closing
from pathlib import Path

from benchmarks.rig.ca import DEADLINE, ECA_NORMAL, ECA_PUTFAIL, STRING, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, Ioc, until
from benchmarks.rig.where import CONSOLE, DRIVE, PROGRAM, PYTHON, native
from benchmarks.rig.where import command as served
from tests.examples.zerofield import DOCUMENTATION
from tests.windows import chaos
from tests.windows.across.conftest import FOREVER, Bench, P, command, scripts


def test_the_life_of_a_script(bench: Bench) -> None:
    """START, CHECK, RESTART and STOP complete when they are done; STOP runs `finally:`."""
    client = bench.run("print('\u00e9\u4e2d')\n" + FOREVER)
    assert client.get(P + "STATUS", STRING) == "Stopped"
    assert client.put_callback(P + "START") == ECA_NORMAL
    assert client.get(P + "STATUS", STRING) == "Running"
    assert bench.until(client, "LOG", lambda text: "up" in text) == "\u00e9\u4e2d\nup"
    assert client.get(P + "PROCS") == 1
    assert client.text(P + "SCRIPT") == native(bench.script)
    first = client.get(P + "PID")
    assert client.put_callback(P + "CHECK") == ECA_NORMAL
    assert client.put_callback(P + "RESTART") == ECA_NORMAL
    assert client.get(P + "PID") != first
    assert len(scripts(bench.directory)) == 1
    assert client.put_callback(P + "STOP") == ECA_NORMAL
    assert (client.get(P + "EXITCODE"), client.get(P + "EXITREASON")) == (-2, "SIGINT")
    assert bench.until(client, "LOG:LINE", lambda text: text == "finally")
    assert scripts(bench.directory) == []


def test_a_stubborn_tree_is_killed(bench: Bench) -> None:
    """A script that does not stop is killed after `stop_timeout`, with all that it has started."""
    client = bench.run(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = 'import time; time.sleep(1000) # bootstrap.py'\n"
        "flags = subprocess.DETACHED_PROCESS\n"
        "subprocess.Popen([sys.executable, '-c', child], creationflags=flags)\n"
        "time.sleep(1000)\n",
        "--stop-timeout", "0.5",
    )  # fmt: skip
    assert client.put_callback(P + "START") == ECA_NORMAL
    until(lambda: len(scripts(bench.directory)) == 2)
    assert client.put_callback(P + "STOP") == ECA_NORMAL
    assert client.get(P + "EXITREASON") == "SIGKILL (did not stop)"
    assert scripts(bench.directory) == []


def test_a_crash(bench: Bench) -> None:
    """EXITREASON of a crash is the name of the NTSTATUS, and TRACEBACK has faulthandler's text."""
    client = bench.run("import faulthandler\nfaulthandler._read_null()\n", "--restart", "never")
    client.put_callback(P + "START")
    until(lambda: client.get(P + "STATUS", STRING) == "Failed")
    assert client.get(P + "EXITREASON") == "ACCESS_VIOLATION"
    assert client.get(P + "EXITCODE") == 0xC0000005 - (1 << 32)
    assert client.text(P + "TRACEBACK").startswith("Windows fatal exception: access violation\n")
    assert client.text(P + "ERROR").startswith("ACCESS_VIOLATION: Windows fatal exception")


def test_the_ioc_ends_orderly_by_a_key(bench: Bench) -> None:
    """After ^C the script runs `finally:`, the registry says stopped, and the IOC ends with 0."""
    script = (
        "from server_common.helpers import register_ioc_start\n"
        "register_ioc_start('BGRSCRPT_01', {'TE:X': {'type': 'ai', 'description': 'an X'}})\n"
    )
    client = bench.run(script + FOREVER)
    client.put_callback(P + "START")
    until(lambda: client.text(P + "REGISTRY:MSG") == "registered")
    database = bench.directory / "state" / "iocdb.sqlite"
    with closing(sqlite3.connect(database)) as rows:
        query = "SELECT running, exe_path FROM iocrt WHERE iocname = 'BGRSCRPT_01'"
        assert rows.execute(query).fetchone() == (1, native(bench.script)[:100])
        assert rows.execute("SELECT count(*) FROM pvs WHERE pvname LIKE '%TE:X'").fetchone() == (1,)
    assert bench.ioc.end(signal.SIGINT) == 0
    assert "finally" in bench.ioc.output
    with closing(sqlite3.connect(database)) as rows:
        assert rows.execute(query).fetchone()[0] == 0


def test_nothing_survives_a_killed_ioc(bench: Bench) -> None:
    """When the IOC is killed, its scripts end; the next IOC serves, and runs one copy."""
    client = bench.run()
    client.put_callback(P + "START")
    assert len(scripts(bench.directory)) == 1
    bench.ioc.process.kill()
    until(lambda: not scripts(bench.directory))
    again = bench.start(bench.script, "--prefix", "TE:", port=bench.ioc.port)
    client = bench.client_of(again)
    until(lambda: client.get(P + "STATUS", STRING) == "Running")
    assert len(scripts(bench.directory)) == 1


def test_an_instance_is_served_once(bench: Bench, tmp_path: Path) -> None:
    """A second IOC of one name is refused; an IOC of another name takes a free TCP port."""
    bench.run()
    second = [native(bench.script), "--prefix", "TE:", "--force"]
    told = command(bench.ioc.port, "run", *second, "--state-dir", native(tmp_path / "other"))
    assert told.returncode == 1
    assert b"TE:BGRSCRPT_01 on port" in told.stdout
    assert b"already served on this host by the process " in told.stdout
    name = ["--prefix", "TE:", "--name", "BGRSCRPT_02"]
    other = bench.start(bench.script, *name, port=bench.ioc.port)
    assert "TCP port" in other.wait_for("listens at TCP port")


def test_the_way_of_isis(bench: Bench) -> None:
    r"""ISIS's way: settings by the environment, paths in C:\Instrument, the documented script."""
    root = DRIVE / "Instrument"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("scripts", "Var", "Apps/EPICS/ISIS/inst_servers/master"):
        (root / name).mkdir(parents=True)
    (root / "scripts" / "data file.txt").write_text("some data")
    (root / "scripts" / "background_script.py").write_text(
        (DOCUMENTATION / "registration.py").read_text()
        + "print(open(r'C:\\Instrument\\scripts\\data file.txt').read())\n"
        "print(os.environ['KIT_ROOT'], os.getcwd(), sys.argv[0])\n" + FOREVER
    )
    environ = {
        "MYPVPREFIX": "TE:NDW1:",
        "ICPINSTSCRIPTROOT": "C:\\Instrument\\scripts",
        "ICPVARDIR": "C:\\Instrument\\Var",
        "KIT_ROOT": "C:\\Instrument\\Apps\\EPICS",
        "MACROS": json.dumps({"SCRIPT_PATH": "C:\\Instrument\\scripts\\background_script.py"}),
        "PYTHONPATH": "C:\\Instrument\\scripts",
    }
    arguments = ["--name", "BGRSCRPT_01", "--registry", "sqlite:///$(STATE)/iocdb.sqlite"]
    ioc = Ioc(root / "Var", command=served("run", *arguments), environ=environ)
    bench.stack.enter_context(ioc).ready()
    client = bench.client_of(ioc)
    pv = "TE:NDW1:BGRSCRPT_01:"
    until(lambda: "up" in client.text(pv + "LOG"))
    lines = client.text(pv + "LOG").splitlines()
    assert lines[0] == "some data"
    assert lines[1].startswith(
        "C:\\Instrument\\Apps\\EPICS C:\\Instrument\\Var C:\\Instrument\\scr"
    )
    until(lambda: client.get(pv + "REGISTERED") == 1)
    log = client.text(pv + "LOG:FILE")
    assert log.startswith("C:\\Instrument\\Var\\bgrscrpt\\log\\TE.NDW1.BGRSCRPT_01-")
    assert (root / "Var" / "bgrscrpt" / "iocdb.sqlite").exists()


def test_the_command_line(bench: Bench) -> None:
    """`status`, `stop` and `log` work on Windows, and print UTF-8 to a pipe."""
    client = bench.run("print('\u4e2d')\n" + FOREVER)
    client.put_callback(P + "START")
    told = command(bench.ioc.port, "status", "--prefix", "TE:")
    assert "Running" in told.stdout.decode()
    assert b"\r" not in told.stdout
    assert (
        "\u4e2d" in command(bench.ioc.port, "log", "BGRSCRPT_01", "--prefix", "TE:").stdout.decode()
    )
    assert command(bench.ioc.port, "stop", "BGRSCRPT_01", "--prefix", "TE:").returncode == 0
    assert client.get(P + "STATUS", STRING) == "Stopped"


def test_settings_that_mean_nothing_are_refused(bench: Bench) -> None:
    """`check` names settings that do not work on Windows, and says what to do."""
    config = bench.directory / "ioc.toml"
    config.write_text(
        "cgroup = '/sys/fs/cgroup/x'\n[instance.BGRSCRPT_01]\nscript = 'a.py'\n"
        "nofile_max = 100\npath_map = { 'C:\\Instrument' = 'C:\\other' }\n"
    )
    told = command(5064, "check", "--config", native(config)).stdout.decode()
    for key in ("cgroup: Windows has", "nofile_max: Windows has", "path_map: paths of Windows"):
        assert key in told


def test_a_put_with_callback_fails_where_the_script_does(bench: Bench) -> None:
    """START of a script that does not compile fails, and ERROR says why."""
    client = bench.run("x = = 1\n", "--restart", "never")
    assert client.put_callback(P + "START") == ECA_PUTFAIL
    assert "SyntaxError: invalid syntax (my script.py:1)" in client.text(P + "ERROR")


def test_an_edit_while_it_runs(bench: Bench) -> None:
    """An editor can replace the file of a running script; SCRIPT:CHANGED then says so."""
    client = bench.run()
    client.put_callback(P + "START")
    new = bench.script.with_suffix(".new")
    new.write_text("print('new')\n" + FOREVER)
    time.sleep(0.01)
    new.replace(bench.script)
    monitor = client.monitor(P + "SCRIPT:CHANGED")
    monitor.wait_for(1)
    client.put_callback(P + "RESTART")
    bench.until(client, "LOG", lambda text: "new" in text)


def test_stacks_of_a_running_script(bench: Bench) -> None:
    """STACK:TEXT shows where the script is, without frames of the IOC and carriage returns."""
    client = bench.run()
    client.put_callback(P + "START")
    bench.until(client, "LOG", bool)
    assert client.put_callback(P + "STACK") == ECA_NORMAL
    text = client.text(P + "STACK:TEXT")
    assert text.endswith('my script.py", line 4 in <module>\n')
    assert "bgrscrpt_ioc" not in text
    assert "\r" not in text


def test_without_a_console(bench: Bench) -> None:
    """An IOC without a console, as a service is, runs scripts; none survives its kill."""
    bench.script.write_text(FOREVER)
    run = ["run", native(bench.script), "--prefix", "TE:", "--state-dir", "state"]
    command = [PYTHON, str(CONSOLE), "--detached", PROGRAM, *COMMAND[1:], *run]
    ioc = bench.stack.enter_context(Ioc(bench.directory, command=command)).ready()
    client = bench.client_of(ioc)
    until(lambda: client.text(P + "LOG") == "up")
    assert client.put_callback(P + "RESTART") == ECA_NORMAL
    bench.until(client, "LOG", lambda text: "finally" in text and text.endswith("\nup"))
    ioc.process.kill()
    until(lambda: not scripts(bench.directory))


def test_the_web_page(bench: Bench) -> None:
    """`web` runs on Windows as a client of the IOC, and serves the page and the metrics."""
    client = bench.run()
    client.put_callback(P + "START")
    port = free_port()
    command = [*COMMAND, "web", "--prefix", "TE:", "--http-port", str(port)]
    web = subprocess.Popen(
        command,
        env=ca_environ(bench.ioc.port),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    bench.stack.enter_context(web)
    bench.stack.callback(web.kill)
    assert web.stdout is not None
    line = web.stdout.readline().decode()
    assert f"http://127.0.0.1:{port}/" in line, line
    for page, text in (("", "<!doctype html>"), ("metrics", 'name="bgrscrpt_01"')):
        url = f"http://127.0.0.1:{port}/{page}"
        with urllib.request.urlopen(url, timeout=DEADLINE) as answer:
            assert text in answer.read().decode().lower()


def test_a_little_chaos() -> None:
    """Commands, kills, edits and ends of the IOC at random leave no orphan and no second copy."""
    assert len(chaos.run(15, seed=1).done) == 15
