"""The command line's client against records of EPICS base: a peer that is not our own server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from bgrscrpt_ioc.client import SHOWN, added

# BGRSCRPT_01 does what it is told, B refuses every put, C dies of being started.
PEER = """
import os
from softioc import alarm, asyncio_dispatcher, builder, softioc
dispatcher = asyncio_dispatcher.AsyncioDispatcher()
builder.SetDeviceName("TE:BGRSCRPT_01")
state = builder.mbbIn("STATUS", "Stopped", "Starting", "Running", initial_value=0)
text = builder.longStringIn("STATUS:MSG", length=1024, initial_value="never started \u017d")
log = builder.longStringIn("LOG", length=16000, initial_value="one\\ntwo\\n")
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
    log.set("one\\ntwo\\nthree\\n")
builder.boolOut("START", on_update=start, blocking=True, always_update=True)
builder.SetDeviceName("TE:B")
builder.longStringIn("STATUS:MSG", length=1024, initial_value="SyntaxError: bad (a.py:1)")
builder.boolOut("START", DISP=1)
builder.SetDeviceName("TE:C")
async def die(_value):
    os._exit(1)
builder.boolOut("START", on_update=die, blocking=True, always_update=True)
builder.LoadDatabase()
softioc.iocInit(dispatcher)
print("serving", flush=True)
softioc.non_interactive_ioc()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Client:
    """The command line, pointed at one port."""

    port: int

    def environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EPICS_")}
        return {**kept, "MYPVPREFIX": "TE:", "ICPVARDIR": "/nowhere"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "bgrscrpt_ioc.cli", *arguments, "--port", str(self.port)],
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


def test_a_failed_put_is_told(client: Client) -> None:
    """A command that fails gives exit code 1 and the reason of STATUS:MSG; the others still run."""
    code, out, err = client.run("start", "B", "BGRSCRPT_01")
    assert (code, out, err) == (1, "", "B: start: SyntaxError: bad (a.py:1)\n")
    _, out, _ = client.run("status", "--json")
    assert json.loads(out)[0]["STATUS"] == "Running"


def test_status(make_peer: Callable[[], Client]) -> None:
    """Status reads what there is, in UTF-8; what is not served is null, and an error."""
    client = make_peer()
    code, out, err = client.run("status")
    assert (code, err) == (0, "")
    header, row = out.splitlines()
    assert tuple(header.split()) == SHOWN
    assert row.split(maxsplit=7) == [
        "BGRSCRPT_01", "Stopped", "0", "1.2", "0", "1.2", "1.2", "never started Ž",
    ]  # fmt: skip
    code, out, err = client.run("status", "--json", "--name", "B")
    (row,) = json.loads(out)
    assert (code, row["STATUS"], row["STATUS:MSG"]) == (1, None, "SyntaxError: bad (a.py:1)")
    assert err.startswith("no answer for TE:B at 127.0.0.1")


def test_an_ioc_that_dies(make_peer: Callable[[], Client]) -> None:
    """When the IOC goes away before a command is done, the command says so."""
    code, _, err = make_peer().run("start", "C")
    assert (code, err) == (1, "C: start: TE:C:START: the IOC went away before it was done\n")


def test_no_ioc() -> None:
    """When nobody answers, the error says where was looked."""
    port = free_port()
    code, _, err = Client(port).run("stop", "BGRSCRPT_01")
    assert code == 1
    where = f"at 127.0.0.1, port {port}: is the IOC running"
    assert err.startswith(f"BGRSCRPT_01: stop: no answer for TE:BGRSCRPT_01:STOP {where}")


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


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ("", "a\n", "a\n"),
        ("a\n", "a\n", ""),
        ("a\nb\n", "a\nb\nc\n", "c\n"),
        ("a\nb\n", "b\nc\n", "c\n"),
        ("a\na\n", "a\na\na\n", "a\n"),
        ("a\nb\n", "x\ny\n", "[... more than LOG holds; LOG:FILE has it all]\nx\ny\n"),
    ],
)
def test_what_is_new_in_a_tail(before: str, after: str, new: str) -> None:
    """Of two tails of one log, the lines that the later one adds are found."""
    assert added(before, after) == new
