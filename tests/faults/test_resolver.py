"""Nothing of the IOC waits for a name server that never answers, least of all its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caproto.asyncio.client import Context

from benchmarks.rig.ca import DEADLINE, Client, free_port
from benchmarks.rig.iocs import FOREVER, Ioc, until
from bgrscrpt_ioc.access.inputsearch import InputSearches
from bgrscrpt_ioc.access.putlog import PutLog
from bgrscrpt_ioc.access.security import Security
from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.host.networks import listed
from bgrscrpt_ioc.host.resolver import Resolver
from bgrscrpt_ioc.host.worker import in_thread
from bgrscrpt_ioc.records.instance import InstanceRecords

P = "TE:BGRSCRPT_01:"


class DeadServer:
    """A name server that answers some names, and is silent about others until told otherwise."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self.asked: list[str] = []
        self.answers = threading.Event()

    def look_up(self, name: str, *_: object) -> list[Any]:
        assert threading.current_thread() is not threading.main_thread(), "the event loop asks"
        self.asked.append(name)
        if name not in self.known:
            self.answers.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        if isinstance(self.known[name], OSError):
            raise self.known[name]
        return [(socket.AF_INET, 1, 6, "", (each, 0)) for each in self.known[name]]


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> Iterator[DeadServer]:
    """Makes the system ask a dead name server, which gives up at the end of the test."""
    server = DeadServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.look_up)
    monkeypatch.setattr(socket, "gethostbyname", server.look_up)
    yield server
    server.answers.set()


def threads(name: str) -> int:
    return sum(each.name == name for each in threading.enumerate())


def test_a_name_that_hangs_delays_no_other(
    dead: DeadServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Names that can be answered are, behind any number of dead names.

    Each of these is reported once.
    """
    dead.known["alive"] = ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
    resolver, names = Resolver(), [*(f"dead{number}" for number in range(10)), "alive", "10.0.0.1"]
    while not (found := resolver.wait(names, 0.2))["alive"]:
        pass
    assert found["alive"] == ("192.0.2.1", "192.0.2.2")
    assert found["10.0.0.1"] == ("10.0.0.1",)
    assert found["dead0"] == ()
    resolver.wait(names, 0.1)
    assert dead.asked.count("dead0") == 1, "it was asked again while it was being asked"
    assert sum("'dead0': no answer within" in each for each in caplog.messages) == 1
    assert "no host has this name for now" in caplog.text
    dead.answers.set()
    until(lambda: not threads("resolver"))


def test_a_name_keeps_its_addresses(dead: DeadServer) -> None:
    """While the name server is silent, its last answer counts, even if that was "no such host"."""
    resolver = Resolver()
    dead.known["host"] = ["192.0.2.1"]
    assert resolver.wait(["host"], DEADLINE) == {"host": ("192.0.2.1",)}
    dead.known["host"] = socket.gaierror(socket.EAI_AGAIN, "no answer")
    assert resolver.wait(["host"], DEADLINE) == {"host": ("192.0.2.1",)}
    del dead.known["host"]
    assert resolver.wait(["host"], 0.05) == {"host": ("192.0.2.1",)}
    dead.answers.set()
    until(lambda: not threads("resolver"))
    dead.known["host"] = socket.gaierror(socket.EAI_NONAME, "no such host")
    assert resolver.wait(["host"], DEADLINE) == {"host": ()}


def test_an_address_list_is_not_waited_for(
    dead: DeadServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Entries whose names are not answered are left out and named."""
    began = time.monotonic()
    assert listed("dead:5064 10.0.0.1 gone", 5066) == [("10.0.0.1", 5066)]
    assert time.monotonic() - began < DEADLINE
    assert "'dead:5064' is left out: no address of it is known" in caplog.text
    assert set(dead.asked) == {"dead", "gone"}


async def test_what_is_left_behind_is_not_waited_for() -> None:
    """A cancelled caller leaves the job's thread behind.

    Otherwise it gets the result or the error.
    """
    hangs, began = threading.Event(), threading.Event()

    def job() -> None:
        began.set()
        hangs.wait()

    waiting = asyncio.create_task(in_thread(job))
    async with asyncio.timeout(DEADLINE):
        while not began.is_set():
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hangs.set()
    assert await in_thread(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    await asyncio.get_running_loop().shutdown_default_executor()  # nothing is in it


async def test_rules_apply_while_the_name_server_is_dead(dead: DeadServer, tmp_path: Path) -> None:
    """A file is read and followed; its dead hosts have no rights, others have theirs."""
    acf = tmp_path / "access.acf"
    acf.write_text("HAG(h) {dead, alive} ASG(DEFAULT) {RULE(1, WRITE) {HAG(h)}}")
    dead.known["alive"] = ["192.0.2.1"]
    async with asyncio.timeout(DEADLINE):
        security = Security(acf)
        await security.start()
        assert security.granted(1, "anyone", "192.0.2.1", "").right.name == "WRITE"
        assert security.granted(1, "anyone", "192.0.2.2", "").right.name == "NONE"
        await security.close()
        writers = Security(write_hosts=["dead", "alive", "198.51.100.0/24"])
        await writers.start()
        assert writers.granted(1, "anyone", "192.0.2.1", "").right.name == "WRITE"
        await writers.close()
    assert "198.51.100.0/24" not in dead.asked


async def test_the_put_log_looks_its_server_up(dead: DeadServer) -> None:
    """A dead name server delays neither a put nor the end of the log."""
    async with asyncio.timeout(DEADLINE):
        log = PutLog({"EPICS_CA_PUT_LOG_ADDR": "dead"})
        log.done("u@h", "A:START", 1, 0, "192.0.2.1")
        while not dead.asked:
            await asyncio.sleep(0.01)
        await log.close()


async def test_inputs_of_others_are_searched_for(
    dead: DeadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search reaches the hosts that have an address, and the event loop asks no name server."""
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.setblocking(False)
        port = other.getsockname()[1]
        monkeypatch.setenv("EPICS_CA_ADDR_LIST", f"dead other:{port}")
        monkeypatch.setenv("EPICS_CA_AUTO_ADDR_LIST", "NO")
        dead.known["other"] = ["127.0.0.1"]
        async with asyncio.timeout(DEADLINE), Context(InputSearches(Resolver())) as client:
            await client.get_pvs("OTHER:MODE")
            data = await asyncio.get_running_loop().sock_recv(other, 1000)
    assert b"OTHER:MODE" in data


@pytest.mark.usefixtures("dead")
async def test_an_interface_that_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start fails after a while, and the message names the interface."""
    monkeypatch.setattr("bgrscrpt_ioc.ca.server.PATIENCE", 0.1)
    records = InstanceRecords("TE:", "BGRSCRPT_01", log_tail=1000).by_full_name
    with pytest.raises(OSError, match="interface 'dead' is not known"):
        await CaServer(records, ["dead"], free_port()).start()


# A name server of a mount namespace of its own: packets to it are taken, and nothing comes back.
ALONE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
INSIDE = (
    'mount --bind "$0" /etc/resolv.conf && mount --bind "$1" /etc/nsswitch.conf && shift'
    ' && exec "$@"'
)
CAN_MOUNT = (
    shutil.which("unshare") is not None
    and subprocess.run([*ALONE, "mount --bind /etc/hosts /etc/resolv.conf"], check=False).returncode
    == 0
)


@pytest.mark.skipif(not CAN_MOUNT, reason="needs the right to mount a file in the place of another")
def test_a_real_name_server_that_is_silent(tmp_path: Path) -> None:
    """With dead names everywhere, the IOC starts, serves, reads a new access file, and ends."""
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        address = f"127.7.{os.getpid() >> 8 & 255}.{os.getpid() & 127 | 128}"
        silent.bind((address, 53))
        (tmp_path / "resolv.conf").write_text(f"nameserver {address}\n")
        (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
        (tmp_path / "script.py").write_text(FOREVER)
        acf = tmp_path / "access.acf"
        rule = "ASG(DEFAULT) {INPA(OTHER:MODE) RULE(1, READ) RULE(1, WRITE) {HAG(h)}}"
        acf.write_text(f"HAG(h) {{a.dead.example, b.dead.example}} {rule}")
        command = [sys.executable, "-m", "bgrscrpt_ioc", "run", "--state-dir", tmp_path / "state"]
        command += [tmp_path / "script.py", "--prefix", "TE:", "--asg", acf]
        dead = "c.dead.example"
        environ = dict.fromkeys(
            ("EPICS_CAS_BEACON_ADDR_LIST", "EPICS_CAS_IGNORE_ADDR_LIST", "EPICS_CA_ADDR_LIST"), dead
        )
        files = [tmp_path / "resolv.conf", tmp_path / "nsswitch.conf"]
        ioc = Ioc(
            tmp_path,
            command=[*ALONE, INSIDE, *files, *command],
            environ={**environ, "EPICS_CA_PUT_LOG_ADDR": dead},
        )
        with ioc, Client(ioc.ready().port) as client:
            until(lambda: client.get(P + "STATUS") == 2)
            assert not client.connect(P + "START")["writable"]
            acf.write_text(f"HAG(h) {{a.dead.example, localhost}} {rule}")
            until(lambda: client.connect(P + "START")["writable"])
            began = time.monotonic()
            assert ioc.end(signal.SIGTERM) == 0
            took = time.monotonic() - began
    assert took < 10, f"{took:.1f} s, which is as long as a name takes: {os.getloadavg()}"
