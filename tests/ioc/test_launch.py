"""How the IOC starts and ends: by hand, by signals, by SIGKILL, and under the real procServ."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.ca.records import RECORDS
from tests.ioc.ca import STRING, Client, ca_environ, free_port
from tests.ioc.iocs import COMMAND, FOREVER, Ioc, survivors, until

# A daemon that has left its session and has no parent but the IOC.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon is up", flush=True)
        while True:
            time.sleep(1000)
    os._exit(0)
"""
POLITE = """
import atexit, time
atexit.register(print, "atexit was run", flush=True)
print("IOC started", flush=True)
try:
    while True:
        time.sleep(1000)
finally:
    print("finally was run", flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that runs for ever."""
    path = tmp_path / "background_script.py"
    path.write_text(FOREVER)
    return path


def test_it_says_that_it_serves_and_what(tmp_path: Path, script: Path) -> None:
    """One line when it serves; before it, on request, the names of all PVs."""
    with Ioc(tmp_path, script, "--prefix", "TE:", "--list-pvs") as ioc:
        lines = ioc.ready().output.splitlines()
        names = [f"TE:BGRSCRPT_01:{record.name}" for record in RECORDS]
        assert lines[: len(names)] == names
        told = f"bgrscrpt-ioc: serving TE:BGRSCRPT_01 ({len(names)} PVs) on 127.0.0.1:{ioc.port}"
        assert told in lines


def test_stdin_may_be_closed(tmp_path: Path, script: Path) -> None:
    """It needs no stdin, not even an open one."""
    read, write = os.pipe()
    os.close(write)
    try:
        with Ioc(tmp_path, script, stdin=read) as ioc:
            ioc.ready().wait_for("IOC started\n")
    finally:
        os.close(read)


def test_a_port_in_use(tmp_path: Path, script: Path) -> None:
    """Where another server has the port it exits with 1 and says so in one line."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        with Ioc(tmp_path, script, port=other.getsockname()[1]) as ioc:
            assert ioc.exit_code() == 1
        assert "is in use" in ioc.output
        assert "Traceback" not in ioc.output


def test_an_instance_that_is_served_already(tmp_path: Path, script: Path) -> None:
    """A second IOC of the instance exits with 1; the first one and its script go on."""
    with Ioc(tmp_path, script, "--prefix", "TE:") as first:
        first.ready().wait_for("IOC started\n")
        before = survivors(first.port)
        other = tmp_path / "elsewhere"
        other.mkdir()
        with Ioc(other, script, "--prefix", "TE:", port=first.port) as second:
            assert second.exit_code() == 1
        assert "another IOC on this host already serves TE:BGRSCRPT_01" in second.output
        assert survivors(first.port) == before


def test_no_script_at_all(tmp_path: Path) -> None:
    """Without a script it exits with 2 and says how to name one."""
    with Ioc(tmp_path) as ioc:
        assert ioc.exit_code() == 2
    assert "no script is known" in ioc.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_scripts_first(tmp_path: Path, script: Path, number: signal.Signals) -> None:
    """`finally:` and `atexit` of the script run, the exit code is 0, and nothing is left."""
    script.write_text(POLITE)
    with Ioc(tmp_path, script) as ioc:
        ioc.ready().wait_for("IOC started\n")
        assert ioc.end(number) == 0
        assert "finally was run\n" in ioc.output
        assert "atexit was run\n" in ioc.output
        assert survivors(ioc.port) == {}


def test_nothing_survives_a_kill(tmp_path: Path, script: Path) -> None:
    """SIGKILL of the IOC takes the script and its daemons with it."""
    script.write_text(DAEMON + FOREVER)
    with Ioc(tmp_path, script) as ioc:
        ioc.ready().wait_for("IOC started\n")
        ioc.wait_for("daemon is up\n")
        until(lambda: len(survivors(ioc.port)) == 2)  # what it was forked by is gone too
        ioc.process.kill()
        until(lambda: not survivors(ioc.port), timeout=5)


def test_what_a_killed_guardian_left_is_swept(tmp_path: Path, script: Path) -> None:
    """With the guardian killed too, a daemon is left: the next IOC ends it before it starts."""
    script.write_text(DAEMON + FOREVER)
    with Ioc(tmp_path, script) as ioc:
        ioc.ready().wait_for("daemon is up\n")
        ioc.wait_for("IOC started\n")
        for pid in guardians(ioc.process.pid):
            os.kill(pid, signal.SIGKILL)
        ioc.process.kill()
        ioc.process.wait()
        (orphan,) = until(lambda: len(left := survivors(ioc.port)) == 1 and left)
        with Ioc(tmp_path, script, port=ioc.port) as second:
            second.ready().wait_for("IOC started\n")
            assert "killed 1 processes that an earlier IOC left behind" in second.output
            assert posix.look_up(orphan) is None


def guardians(ioc: int) -> list[int]:
    """The guardian processes of an IOC."""
    return [
        process.pid
        for process in posix.processes().values()
        if process.parent == ioc
        and b"guardian.py" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    ]


def test_the_environment_of_isis(tmp_path: Path) -> None:
    """Nothing but the environment and a name: prefix, script and state are where ISIS has them."""
    scripts, var = tmp_path / "scripts", tmp_path / "var"
    scripts.mkdir()
    (scripts / "background_script2.py").write_text(FOREVER)
    environ = {
        "MYPVPREFIX": "TE:NDW1:",
        "ICPINSTSCRIPTROOT": str(scripts),
        "ICPVARDIR": str(var),
        "KIT_ROOT": str(tmp_path),
    }
    command = [*COMMAND, "run", "--name", "BGRSCRPT_02"]
    port = free_port()
    with subprocess.Popen(command, env=ca_environ(port, **environ), cwd=tmp_path) as process:
        with Client(port) as client:
            name = "TE:NDW1:BGRSCRPT_02:STATUS"
            until(lambda: connected(client, name) and client.get(name, STRING) == "Running")
            assert client.text("TE:NDW1:BGRSCRPT_02:SCRIPT").endswith("background_script2.py")
            assert (var / "bgrscrpt" / "BGRSCRPT_02.json").exists()
        process.terminate()
        assert process.wait(30) == 0


def connected(client: Client, name: str) -> bool:
    with contextlib.suppress(RuntimeError):
        client.connect(name, timeout=0.5)
        return True
    return False


# --- procServ ------------------------------------------------------------------------------------


class ProcServ:
    """The real procServ with the IOC as its child, as ISIS's start-up runs one."""

    def __init__(self, directory: Path, script: Path) -> None:
        self.directory, self.port, self.console = directory, free_port(), free_port()
        self.log = directory / "procserv.log"
        command = ["procServ", "--foreground", "--quiet", "--logfile", str(self.log)]
        command += ["--holdoff", "1", "--ignore", "^D^C", "--chdir", str(directory)]
        command += [str(self.console), *COMMAND, "run", str(script), "--prefix", "TE:"]
        command += ["--state-dir", str(directory / "state")]
        self.process = subprocess.Popen(
            command,
            env=ca_environ(self.port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def type(self, key: bytes) -> None:
        """Type a key on the console."""
        with socket.create_connection(("127.0.0.1", self.console)) as console:
            console.sendall(key)
            # procServ reads what was sent before it closes its side; the greeting comes first.
            console.shutdown(socket.SHUT_WR)
            while console.recv(4096):
                pass

    def lines(self) -> list[str]:
        """Its log."""
        text = self.log.read_text() if self.log.exists() else ""
        return text.replace("\r\n", "\n").splitlines()


@pytest.fixture
def procserv(tmp_path: Path, script: Path) -> Iterator[ProcServ]:
    """A procServ that is gone at the end, and its IOC and scripts with it."""
    if shutil.which("procServ") is None:
        pytest.skip("procServ is not installed: sudo apt-get install procserv")
    script.write_text(DAEMON + FOREVER)
    server = ProcServ(tmp_path, script)
    yield server
    server.process.terminate()
    server.process.wait(30)
    until(lambda: not survivors(server.port))


def test_procserv_log_has_the_text_of_the_script(procserv: ProcServ) -> None:
    """The script's own text is in procServ's log unchanged: ISIS's launcher waits for it."""
    until(lambda: "IOC started" in procserv.lines())


def test_kill_on_procserv_console(procserv: ProcServ) -> None:
    """`^X` leaves nothing of the old run, and exactly one copy runs after the restart."""
    until(lambda: "IOC started" in procserv.lines())
    until(lambda: len(survivors(procserv.port)) == 2)  # the script and its daemon
    before = set(survivors(procserv.port))
    procserv.type(b"\x18")
    until(lambda: procserv.lines().count("IOC started") == 2)
    until(lambda: len(survivors(procserv.port)) == 2)
    assert not before & set(survivors(procserv.port))
    with Client(procserv.port) as client:
        assert client.get("TE:BGRSCRPT_01:STATUS", STRING) == "Running"
        assert client.get("TE:BGRSCRPT_01:PID") in survivors(procserv.port)
