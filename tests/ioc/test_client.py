"""The command line's client against records of EPICS base: a peer that is not our own server."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.rig.ca import free_port
from benchmarks.rig.where import COMMAND
from bgrscrpt_ioc.cli.status import COLUMNS

# BGRSCRPT_01 does what it is told, B fails every put, C dies of being started, D lets nobody write.
PEER = """
import asyncio, ctypes, os, tempfile
from epicscorelibs import path
from softioc import alarm, asyncio_dispatcher, builder, softioc
dispatcher = asyncio_dispatcher.AsyncioDispatcher()
builder.SetDeviceName("TE:BGRSCRPT_01")
state = builder.mbbIn("STATUS", "Stopped", "Starting", "Running", initial_value=0)
text = builder.longStringIn("STATUS:MSG", length=1024, initial_value="never started \u017d")
log = builder.longStringIn("LOG", length=16000, initial_value="one\\ntwo")
for name in "PID", "STARTS", "RESTARTS", "EXITCODE":
    builder.longIn(name, initial_value=0)
for name in "UPTIME", "CPU", "MEMORY", "PROGRESS":
    builder.aIn(name, initial_value=1.25)
for name in "SCRIPT", "ERROR":
    builder.longStringIn(name, length=1024, initial_value="")
builder.stringIn("EXITREASON", initial_value="")
async def start(_value):
    state.set(2)
    text.set("started")
    log.set("one\\ntwo\\nthree")
builder.boolOut("START", on_update=start, blocking=True, always_update=True)
async def stall(_value):
    await asyncio.sleep(1000)
builder.boolOut("STOP", on_update=stall, blocking=True, always_update=True)
builder.SetDeviceName("TE:B")
builder.longStringIn("STATUS:MSG", length=1024, initial_value="SyntaxError: bad (a.py:1)")
builder.boolOut("START", DISP=1)
builder.SetDeviceName("TE:C")
async def die(_value):
    os._exit(1)
builder.boolOut("START", on_update=die, blocking=True, always_update=True)
builder.SetDeviceName("TE:D")
builder.longStringIn("STATUS:MSG", length=1024, initial_value="started by the IOC at its start")
builder.boolOut("START", ASG="NOBODY")
with tempfile.NamedTemporaryFile("w") as rules:
    rules.write("ASG(DEFAULT) { RULE(1, WRITE) } ASG(NOBODY) { RULE(1, READ) }")
    rules.flush()
    ctypes.CDLL(path.get_lib("dbCore")).asSetFilename(rules.name.encode())
    builder.LoadDatabase()
    softioc.iocInit(dispatcher)
print("serving", flush=True)
softioc.non_interactive_ioc()
"""


@dataclass
class Client:
    """The command line, pointed at one port."""

    port: int

    def environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
        return {**kept, "MYPVPREFIX": "TE:", "ICPVARDIR": "/nowhere"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments, "--port", str(self.port)],
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=60)
            return process.returncode, out, err


@pytest.fixture(scope="module")
def make_peer() -> Iterator[Callable[[], Client]]:
    peers: list[subprocess.Popen[str]] = []

    def _make() -> Client:
        port = free_port()
        environ = {
            **os.environ,
            "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_SERVER_PORT": str(port),
            "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        }
        peer = subprocess.Popen(
            [sys.executable, "-c", PEER], env=environ, stdout=subprocess.PIPE, text=True
        )
        peers.append(peer)
        assert peer.stdout is not None
        assert any("serving" in line for line in peer.stdout)
        return Client(port)

    yield _make
    for peer in peers:
        peer.kill()
        peer.communicate()


@pytest.fixture(scope="module")
def client(make_peer: Callable[[], Client]) -> Client:
    return make_peer()


def test_a_refused_put_is_told(client: Client) -> None:
    """If access security refuses a put, the command says so, with the user and host."""
    code, out, err = client.run("start", "D")
    assert (code, out) == (1, "")
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    assert err.startswith("D: start: TE:D:START: the IOC refused the put (ECA_NOWTACCESS): ")
    assert f"gives {who} no right to write" in err
    assert "started by" not in err


def test_a_failed_put_is_told(client: Client) -> None:
    """A command that fails gives exit code 1 and the reason of STATUS:MSG; the others still run."""
    code, out, err = client.run("start", "B", "BGRSCRPT_01")
    assert (code, out, err) == (1, "", "B: start: SyntaxError: bad (a.py:1)\n")
    _, out, _ = client.run("status", "--json")
    assert json.loads(out)[0]["STATUS"] == "Running"


def test_what_follows_a_put_has_its_connection(client: Client) -> None:
    """Reads after a put use its connection: while libca closes one, it misses some PVs."""
    text = (
        "import psutil\n"
        "from bgrscrpt_ioc.client import libca, pvs\n"
        f"libca.point_at({client.port}, ['127.0.0.1'])\n"
        "def mine():\n"
        "    made = psutil.Process().net_connections('tcp')\n"
        "    return {each.laddr for each in made if each.status == 'ESTABLISHED'}\n"
        "pvs.put_and_wait('TE:BGRSCRPT_01:START', 1, 60)\n"
        "before = mine()\n"
        "assert pvs.read(['TE:BGRSCRPT_01:STATUS:MSG'])\n"
        "assert len(before) == 1 and mine() == before\n"
    )
    subprocess.run(
        [sys.executable, "-P", "-c", text], env=client.environ(), check=True, timeout=120
    )


def test_status(make_peer: Callable[[], Client]) -> None:
    """Status reads what there is, in UTF-8; what is not served is null, and exit code 4."""
    client = make_peer()
    code, out, err = client.run("status")
    assert (code, err) == (0, "")
    header, row = out.splitlines()
    assert tuple(header.split()) == COLUMNS
    assert row.split(maxsplit=7) == [
        "BGRSCRPT_01", "Stopped", "0", "1.2", "0", "1.2", "1.2", "never started Ž",
    ]  # fmt: skip
    code, out, err = client.run("status", "--json", "--name", "B")
    (row,) = json.loads(out)
    assert (code, row["STATUS"], row["STATUS:MSG"]) == (4, None, "SyntaxError: bad (a.py:1)")
    assert err.startswith("no answer for TE:B at 127.0.0.1")


def test_what_takes_longer_is_said(client: Client) -> None:
    """A command that takes longer than a second says what it waits for, and for how long."""
    code, out, err = client.run("stop", "BGRSCRPT_01", "--timeout", "2.5")
    assert (code, out) == (1, "")
    waits, failed = err.splitlines()
    assert waits == (
        "BGRSCRPT_01: stop: waiting until all processes of the script have ended, 2.5 s at most"
    )
    begin = "BGRSCRPT_01: stop: TE:BGRSCRPT_01:STOP: not completed within 2.5 s; "
    assert failed == begin + "the command goes on, and `status` shows how far it is"


def test_log_without_the_file(make_peer: Callable[[], Client]) -> None:
    """Where the log file cannot be read, -n takes lines of LOG, and --since says what it needs."""
    client = make_peer()
    assert client.run("log", "BGRSCRPT_01", "-n", "1") == (0, "two\n", "")
    code, out, err = client.run("log", "BGRSCRPT_01", "--since", "1h")
    assert (code, out) == (1, "")
    assert err.startswith("BGRSCRPT_01: --since needs the log file, ")


def test_an_ioc_that_dies(make_peer: Callable[[], Client]) -> None:
    """When the IOC goes away before a command is done, the command says so."""
    code, _, err = make_peer().run("start", "C")
    assert (code, err) == (1, "C: start: TE:C:START: the IOC went away before it was done\n")


def test_no_ioc() -> None:
    """If no IOC answers, the error says where the command has searched."""
    port = free_port()
    code, _, err = Client(port).run("stop", "BGRSCRPT_01")
    assert code == 1
    where = f"at 127.0.0.1 127.255.255.255, port {port}: is the IOC running"
    assert err.startswith(f"BGRSCRPT_01: stop: no answer for TE:BGRSCRPT_01:STOP {where}")


def test_libca_prints_nothing_of_its_own(tmp_path: Path) -> None:
    """No word of a missing caRepeater, nor of a port that libca takes from no variable."""
    with subprocess.Popen(
        [sys.executable, "-m", "bgrscrpt_ioc", "stop", "BGRSCRPT_01", "--port", "4999"],
        env={**Client(0).environ(), "PATH": str(tmp_path), "EPICS_CA_REPEATER_PORT": "6065"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    where = "127.0.0.1:4999 127.255.255.255:4999, port 4999"
    assert err.startswith(f"BGRSCRPT_01: stop: no answer for TE:BGRSCRPT_01:STOP at {where}: ")
    assert err.count("\n") == 1


def test_log(make_peer: Callable[[], Client]) -> None:
    """The log is printed, and followed as it grows."""
    client = make_peer()
    assert client.run("log", "BGRSCRPT_01") == (0, "one\ntwo\n", "")
    with client.start("log", "BGRSCRPT_01", "-f") as follower:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        client.run("start", "BGRSCRPT_01")
        assert follower.stdout.readline() == "three\n"
        follower.send_signal(2)
        assert follower.wait(30) == 130


def test_log_of_an_ioc_that_goes(make_peer: Callable[[], Client]) -> None:
    """A follower says that the IOC went away."""
    client = make_peer()
    with client.start("log", "BGRSCRPT_01", "-f") as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert [follower.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        client.run("start", "C")
        gone = "[TE:BGRSCRPT_01: the IOC went away; waiting for it]\n"
        assert follower.stderr.readline() == gone
        follower.send_signal(2)
        assert follower.wait(30) == 130
