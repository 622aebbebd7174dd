"""How the IOC starts and ends: by hand, by signals, by SIGKILL, and under the real procServ."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.rig.ca import DEADLINE, ECA_NORMAL, STRING, Client, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, survivors, until
from bgrscrpt_ioc.deploy.procserv import line as procserv_line
from bgrscrpt_ioc.deploy.site import Site
from bgrscrpt_ioc.host.posix import processes as posix
from bgrscrpt_ioc.records.table import RECORDS

# A daemon that has left its session and has no parent but the IOC.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"daemon is up\\n")  # at once: the script prints at the same time
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
    """The IOC prints one line when it serves: its instances, the number of PVs, the port."""
    with Ioc(tmp_path, script, "--prefix", "TE:") as ioc:
        lines = ioc.ready().output.splitlines()
        told = f"serving TE:BGRSCRPT_01 ({len(RECORDS)} PVs) on 127.0.0.1:{ioc.port}"
        assert f"bgrscrpt-ioc: {told}" in lines


def test_stdin_may_be_closed(tmp_path: Path, script: Path) -> None:
    """The IOC starts with a closed stdin."""
    read, write = os.pipe()
    os.close(write)
    try:
        with Ioc(tmp_path, script, stdin=read) as ioc:
            ioc.ready().wait_for("IOC started\n")
    finally:
        os.close(read)


def test_an_instance_that_is_served_already(tmp_path: Path, script: Path) -> None:
    """A second IOC of the instance exits with 1; the first one and its script go on."""
    with Ioc(tmp_path, script, "--prefix", "TE:") as first:
        first.ready().wait_for("IOC started\n")
        before = survivors(first.port)
        other = tmp_path / "elsewhere"
        other.mkdir()
        with Ioc(other, script, "--prefix", "TE:", port=first.port) as second:
            assert second.exit_code() == 1
        assert (
            f"TE:BGRSCRPT_01 on port {first.port} is already served on this host" in second.output
        )
        assert survivors(first.port) == before


def test_no_script_at_all(tmp_path: Path) -> None:
    """Without a script it exits with 2 and says how to name one."""
    with Ioc(tmp_path) as ioc:
        assert ioc.exit_code() == 2
    assert "no script is known" in ioc.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
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
        until(lambda: not survivors(ioc.port))


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
            until(lambda: posix.look_up(orphan) is None)


def guardians(ioc: int) -> list[int]:
    """The guardian processes of an IOC."""
    children = [each.pid for each in posix.processes().values() if each.parent == ioc]
    return [pid for pid in children if b"guardian_program.py" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """The command line of a process, which may have ended meanwhile."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


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
            until((var / "bgrscrpt" / "TE.NDW1.BGRSCRPT_02.json").exists)
        process.terminate()
        assert process.wait(DEADLINE) == 0


def connected(client: Client, name: str) -> bool:
    with contextlib.suppress(RuntimeError):
        client.connect(name, timeout=0.5)
        return True
    return False


# --- procServ ------------------------------------------------------------------------------------


def test_signals_blocked_from_birth(tmp_path: Path) -> None:
    """SIGTERM ends an IOC that was born with it blocked, as under procServ, and reaches scripts."""
    script = tmp_path / "script.py"
    script.write_text(f"import signal\nprint(signal.pthread_sigmask(0, ()))\n{FOREVER}")
    born = "import os, signal, sys; signal.pthread_sigmask(0, signal.valid_signals())\n"
    born += "os.execv(sys.argv[1], sys.argv[1:])"
    state = ("--state-dir", tmp_path / "state")
    command = [sys.executable, "-c", born, *COMMAND, "run", script, *state, "--prefix", "TE:"]
    with Ioc(tmp_path, command=command) as ioc:
        ioc.wait_for("IOC started")
        assert "set()" in ioc.output
        assert ioc.end() == 0


class ProcServ:
    """The real procServ with the IOC as its child, as ISIS's start-up runs one."""

    def __init__(
        self,
        directory: Path,
        script: Path,
        made: Callable[[ProcServ], list[str]] | None = None,
    ) -> None:
        """Start it, or what `made` returns instead."""
        self.directory, self.port, self.console = directory, free_port(), free_port()
        self.log = directory / "procserv.log"
        command = ["procServ", "--foreground", "--quiet", "--logfile", str(self.log)]
        command += ["--holdoff", "1", "--ignore", "^D^C", "--chdir", str(directory)]
        command += [str(self.console), *COMMAND, "run", str(script), "--prefix", "TE:"]
        command += ["--state-dir", str(directory / "state")]
        self.process = subprocess.Popen(
            made(self) if made else command,
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
        """Return the lines of procServ's log."""
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
    server.process.wait(DEADLINE)
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
        until(lambda: client.get("TE:BGRSCRPT_01:STATUS", STRING) == "Running")
        assert client.get("TE:BGRSCRPT_01:PID") in survivors(procserv.port)


def test_the_line_that_deploy_makes(tmp_path: Path, script: Path) -> None:
    """A shell and procServ take it, spaces and all; `^X` ends scripts by SIGINT, then all runs."""
    if shutil.which("procServ") is None:
        pytest.skip("procServ is not installed: sudo apt-get install procserv")
    script.write_text(POLITE)
    config = tmp_path / "my $file%n.toml"
    config.write_text(f"state_dir = 'state'\n[instance.BGRSCRPT_01]\nscript = '{script}'\n")

    def made(server: ProcServ) -> list[str]:
        site = Site(COMMAND, config, console=server.console, log=str(server.log))
        line = shlex.join(["procServ", "--foreground", *procserv_line(site)[1:]])
        return ["sh", "-c", f"exec {line.replace('--holdoff 5', '--holdoff 1')}"]

    server = ProcServ(tmp_path, script, made)
    try:
        until(lambda: "IOC started" in server.lines())
        server.type(b"\x18")
        until(lambda: server.lines().count("IOC started") == 2)
        assert {"finally was run", "atexit was run"} <= set(server.lines())
    finally:
        server.process.terminate()
        server.process.wait(DEADLINE)
    until(lambda: not survivors(server.port))


# --- standard streams ----------------------------------------------------------------------------

STREAMS = {
    "stdin closed": "<&-",
    "stdout closed": ">&-",
    "stderr closed": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "stdout full": ">/dev/full",
    "stderr full": "2>/dev/full",
    "both full": ">/dev/full 2>/dev/full",
    "stdout without a reader": "> >(true)",
    "stderr without a reader": "2> >(true)",
    "both without a reader": "> >(true) 2>&1",
}


@pytest.mark.parametrize("streams", STREAMS)
def test_it_serves_with_any_standard_streams(streams: str, tmp_path: Path, script: Path) -> None:
    """With closed, full or unread standard streams, the IOC serves, runs scripts and ends."""
    port = free_port()
    # What stands behind `>(true)` has ended before the IOC starts.
    line = f'exec {STREAMS[streams]}; sleep 1; exec "$@"'
    command = [*COMMAND, "run", script, "--prefix", "TE:", "--state-dir", tmp_path / "state"]
    with subprocess.Popen(
        ["bash", "-c", line, "bash", *map(str, command)], env=ca_environ(port), cwd=tmp_path
    ) as process:
        with Client(port) as client:
            name = "TE:BGRSCRPT_01:STATUS"
            until(lambda: connected(client, name) and client.get(name, STRING) == "Running")
            assert client.put_callback("TE:BGRSCRPT_01:RESTART") == ECA_NORMAL
            until(lambda: "IOC started" in client.text("TE:BGRSCRPT_01:LOG"))
        process.terminate()
        assert process.wait(DEADLINE) == 0
    until(lambda: not survivors(port))
