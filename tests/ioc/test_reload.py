"""`reload` of the real IOC: instances come, change and go; other instances are not touched."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.rig.ca import DEADLINE, ECA_NORMAL, STRING, Client, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, survivors, until

TOP = 'prefix = "TE:"\nstate_dir = "state"\n[defaults]\nscript = "forever.py"\n'
ONE, TWO, THREE = (f"TE:BGRSCRPT_0{number}:" for number in (1, 2, 3))
DAEMON = ["setsid", "--wait"]  # it has no terminal, as a service


class Site:
    """An IOC with a settings file and without a terminal, as a service has it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self.config = directory, directory / "instrument.toml"
        self._stack = stack
        (directory / "forever.py").write_text(FOREVER)

    def write(self, *instances: str, top: str = TOP) -> None:
        """Write the settings file with these instances, each a number and its settings."""
        tables = [f"[instance.BGRSCRPT_0{each[0]}]\n{each[1:].strip()}\n" for each in instances]
        self.config.write_text(top + "".join(tables))

    def start(self, *before: str, environ: dict[str, str] | None = None) -> Ioc:
        """Start the IOC by a command that begins with `before`."""
        command = [*(before or DAEMON), *COMMAND, "run", "--config", self.config]
        ioc = Ioc(self.directory, command=command, environ=environ)
        self.ioc = self._stack.enter_context(ioc).ready()
        return self.ioc

    def client(self) -> Client:
        """Start a client."""
        return self._stack.enter_context(Client(self.ioc.port))

    @property
    def pid(self) -> int:
        """The IOC's own process."""
        return int((self.directory / "state" / "TE.BGRSCRPT_01.lock").read_text())

    def reload(self, *options: str) -> tuple[int, list[str]]:
        """Run `reload`; return its exit code and the lines that it prints."""
        done = subprocess.run(
            [*COMMAND, "reload", "--pid", str(self.pid), *options],
            env=ca_environ(self.ioc.port),
            check=False,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def running(self, name: str) -> list[int]:
        """The processes of an instance's script."""
        return sorted(survivors(self.ioc.port, name))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Make a site whose processes end with the test."""
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def test_instances_come_change_and_go(site: Site) -> None:
    """Clients find a new instance, lose a removed one, and see no change of the others."""
    site.write("1", "2")
    site.start()
    client, waiting = site.client(), site.client()
    status, of_two = client.monitor(ONE + "STATUS"), client.monitor(TWO + "STATUS")
    status.wait_for(2)
    of_two.wait_for(2)
    with pytest.raises(RuntimeError):
        waiting.connect(THREE + "STATUS", timeout=1.0)
    before = site.running("BGRSCRPT_01")
    site.write("1 backoff = 2", "3")
    code, lines = site.reload("--dry-run")
    assert (code, lines[-1]) == (0, "nothing is changed: --dry-run")
    assert site.reload() == (
        0,
        [
            "BGRSCRPT_02: remove the instance",
            "BGRSCRPT_01: take on backoff; the script goes on",
            "BGRSCRPT_03: add the instance",
            "done: 1 removed, 1 added, 1 changed without a restart",
        ],
    )
    waiting.connect(THREE + "STATUS")
    assert waiting.monitor(THREE + "STATUS").wait_for(2)
    assert site.running("BGRSCRPT_01") == before
    assert status.values == [2]
    client.wait_for(lambda: of_two.values == [2, 3, 0])  # Stopping, Stopped: then it is gone
    assert site.running("BGRSCRPT_02") == []
    with pytest.raises(RuntimeError):
        waiting.connect(TWO + "STATUS", timeout=1.0)
    assert client.text(ONE + "IOC:INSTANCES") == "BGRSCRPT_01\nBGRSCRPT_03"
    site.write("1 backoff = 2", "2", "3 env = { X = '1' }")  # and it may come back
    code, lines = site.reload()
    assert (code, lines[0]) == (0, "BGRSCRPT_03: restart the script, for env has changed")
    assert client.get(THREE + "STATUS", STRING) == "Running"
    assert client.text(THREE + "STATUS:MSG") == "restarted by a reload of the configuration"
    until(lambda: client.get(TWO + "STATUS", STRING) == "Running")
    assert len(client.text(TWO + "HISTORY").splitlines()) == 2  # with the run before
    assert [len(site.running(f"BGRSCRPT_0{number}")) for number in (1, 2, 3)] == [1, 1, 1]


OWN = """
import bgrscrpt, time
bgrscrpt.pv("X", 0.0, writable=True, on_put=lambda value: time.sleep(1000))
print("IOC started", flush=True)
while True:
    time.sleep(1000)
"""


def test_puts_to_what_is_removed(site: Site) -> None:
    """A put in progress fails when its instance is removed; the script's PVs disappear too."""
    (site.directory / "own.py").write_text(OWN)
    site.write("1", '2 script = "own.py"')
    site.start()
    client, other = site.client(), site.client()
    put = other.begin_put(TWO + "X", 1.0)
    assert client.monitor(TWO + "X").wait_for(1.0)  # the script has it
    site.write("1")
    assert site.reload()[0] == 0
    with pytest.raises((RuntimeError, AssertionError)):
        assert other.answer(put) == ECA_NORMAL
    for name in ("X", "STATUS", "STATUS.DESC"):
        with pytest.raises(RuntimeError):
            client.connect(TWO + name, timeout=0.5)
    assert client.get(ONE + "STATUS", STRING) == "Running"


def test_a_file_that_is_refused(site: Site) -> None:
    """A typing error, a setting of the whole IOC or a bad script is named; nothing changes."""
    site.write("1")
    site.start()
    client = site.client()
    client.monitor(ONE + "STATUS").wait_for(2)
    before = site.running("BGRSCRPT_01")
    bad = site.directory / "bad.py"
    bad.write_text("def\n")
    cases = [
        (TOP, "1 bakoff = 2", "[instance.BGRSCRPT_01] bakoff: unknown key; did you mean"),
        (TOP, "1 backoff = -2", "[instance.BGRSCRPT_01] backoff: is -2, should be greater"),
        (TOP, '1 script = "bad.py"', "[instance.BGRSCRPT_01] script: SyntaxError"),
        ("port = 99\n" + TOP, "1", "port: has changed, and holds for the whole IOC: end the IOC"),
        ("[" + TOP, "1", "instrument.toml: line 1: "),
    ]
    for top, instance, why in cases:
        site.write(instance, "2", top=top)
        code, lines = site.reload()
        assert code == 2, lines
        assert any(why in line for line in lines), lines
        assert lines[-1] == "nothing is changed"
    assert site.running("BGRSCRPT_01") == before
    assert client.text(ONE + "IOC:INSTANCES") == "BGRSCRPT_01"
    assert "WARNING: nothing is changed\n" in site.ioc.drain()


def test_how_an_ioc_is_found(site: Site) -> None:
    """`reload` finds the IOC by its file or by an instance's name, and fails without an IOC."""
    site.write("1")
    site.start()
    command = [*COMMAND, "reload", "--dry-run"]
    environ = ca_environ(site.ioc.port)
    for options, code in (
        (["--config", str(site.config)], 0),
        (["BGRSCRPT_01", "--prefix", "TE:", "--port", str(site.ioc.port)], 0),
        (["BGRSCRPT_07", "--prefix", "TE:", "--port", str(site.ioc.port)], 1),
        (["--pid", str(os.getpid())], 1),
    ):
        done = subprocess.run(
            [*command, *options], env=environ, check=False, capture_output=True, timeout=DEADLINE
        )
        assert done.returncode == code, done


def test_sighup_of_a_service(site: Site) -> None:
    """Without a terminal SIGHUP is a reload, whose end systemd is told; SIGTERM is the end."""
    site.write("1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(site.directory / "notify"))
        systemd.settimeout(DEADLINE)
        ioc = site.start(environ={"NOTIFY_SOCKET": str(site.directory / "notify")})
        assert systemd.recv(1000).startswith(b"READY=1\n")
        site.write("1", "2")
        os.kill(site.pid, signal.SIGHUP)
        assert systemd.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert b"serving TE:BGRSCRPT_01, TE:BGRSCRPT_02 " in systemd.recv(1000)
        ioc.wait_for("INFO: done: 1 added\n")
        os.kill(site.pid, signal.SIGTERM)
        assert ioc.exit_code() == 0


def test_rights_that_follow_a_pv_that_comes_and_goes(site: Site) -> None:
    """An access rule has no value of a PV that is removed, and has it again when it comes back."""
    acf = site.directory / "access.acf"
    acf.write_text(f'ASG(DEFAULT) {{INPA({TWO}AUTORESTART) RULE(1, WRITE) {{CALC("A=1")}}}}')
    top = f'asg = "{acf}"\n{TOP}'
    site.write("1", "2", top=top)
    site.start()
    client = site.client()
    assert client.connect(ONE + "RESTART")["writable"]
    site.write("1", top=top)
    assert site.reload()[0] == 0
    until(lambda: not client.connect(ONE + "RESTART")["writable"])
    site.write("1", "2", top=top)
    assert site.reload()[0] == 0
    until(lambda: client.connect(ONE + "RESTART")["writable"])


HANG_UP = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(os.open(os.ttyname(0), os.O_RDWR), termios.TIOCSCTTY)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("how", ["hang up", "kill"])
def test_a_terminal_that_hangs_up(site: Site, how: str) -> None:
    """On a terminal, as of procServ, a hang-up or a SIGHUP ends the IOC and its scripts."""
    site.write("1")
    ours, theirs = pty.openpty()
    command = [*COMMAND, "run", "--config", site.config]
    out = site.directory / "out"
    with out.open("wb") as file:
        environ = ca_environ(port := free_port())
        process = subprocess.Popen(
            [sys.executable, "-c", HANG_UP, *map(str, command)],
            stdin=theirs,
            stdout=file,
            stderr=file,
            env=environ,
        )
    os.close(theirs)
    until(lambda: b"IOC started" in out.read_bytes())
    if how == "hang up":
        os.close(ours)
    else:
        process.send_signal(signal.SIGHUP)
    assert process.wait(DEADLINE) == 0, out.read_text()
    if how == "kill":
        os.close(ours)
    assert "ending: stopping all scripts" in out.read_text()
    assert not survivors(port)
