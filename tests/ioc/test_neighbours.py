"""Other servers on the host: the TCP port may be another's, the UDP port is shared, all are found.

The neighbours are EPICS base's own server and caproto's.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import pytest

from benchmarks.rig.ca import DEADLINE, HERE, Client, Peer, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, until
from bgrscrpt_ioc.ca.server import CaServer, PortInUseError
from bgrscrpt_ioc.cli.namesearch import HEADER, NameSearch, answers, questions
from bgrscrpt_ioc.records.instance import InstanceRecords

BROADCAST = "127.255.255.255"
CAPROTO = """
import sys
from caproto.server import PVGroup, pvproperty, run
class Group(PVGroup):
    X = pvproperty(value=1.0)
run(Group(prefix=sys.argv[1]).pvdb, interfaces=["0.0.0.0"], log_pv_names=False)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script that runs until it is ended."""
    path = tmp_path / "script.py"
    path.write_text(FOREVER)
    return path


def base(tmp_path: Path, port: int, name: str) -> Peer:
    """EPICS base's server with one record, on all interfaces of this host."""
    database = tmp_path / f"{name}.db"
    database.write_text(f'record(ai, "{name}:X") {{ field(VAL, "1") field(PINI, "YES") }}\n')
    return Peer(
        [sys.executable, str(HERE / "softioc_peer.py"), str(database), ""],
        ca_environ(port, EPICS_CAS_INTF_ADDR_LIST=""),
    )


class Caproto:
    """caproto's server with one record."""

    def __init__(self, port: int, name: str) -> None:
        # caproto takes the port of the clients for its own.
        self.process = subprocess.Popen(
            [sys.executable, "-c", CAPROTO, f"{name}:"],  # on all interfaces, as base
            env=ca_environ(port),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def found(port: int, name: str, timeout: float = DEADLINE) -> bool:
    """Whether a client over libca finds a PV by broadcast."""
    with Client(port, EPICS_CA_ADDR_LIST=BROADCAST) as client:
        try:
            client.connect(name, timeout=timeout)
        except RuntimeError:
            return False
        return True


def tcp_ports(port: int, names: Mapping[str, str], destination: str = BROADCAST) -> dict[str, int]:
    """Which TCP port the answer to a broadcast search names, for each of the names."""
    ports: dict[str, int] = {}
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        own.settimeout(0.5)
        end = time.monotonic() + DEADLINE
        while len(ports) < len(names) and time.monotonic() < end:
            for question in questions(list(names.values())):
                own.sendto(question, (destination, port))
            try:
                while len(ports) < len(names):
                    data, address = own.recvfrom(4096)
                    for which, server in answers(data, address[0]):
                        ports[list(names)[which]] = server[1]
            except TimeoutError:
                pass
    return ports


def test_beside_other_servers(tmp_path: Path, script: Path) -> None:
    """Between servers of base and caproto, started before and after, each one is found."""
    port = free_port()
    with ExitStack() as stack:
        first = stack.enter_context(base(tmp_path, port, "B1"))
        stack.enter_context(Caproto(port, "C1"))
        directory = tmp_path / "ours"
        directory.mkdir()
        ours = stack.enter_context(Ioc(directory, script, "--prefix", "TE:", port=port)).ready()
        assert (
            f"TCP port {port} belongs to another server: this IOC listens at TCP port "
            in ours.output
        )
        stack.enter_context(base(tmp_path, port, "B2"))
        stack.enter_context(Caproto(port, "C2"))
        names = {name: f"{name}:X" for name in ("B1", "C1", "B2", "C2")}
        names["ours"] = "TE:BGRSCRPT_01:STATUS"
        ports = tcp_ports(port, names)
        assert set(ports) == set(names)
        assert len(set(ports.values())) == len(names)
        assert f"on 127.0.0.1:{ports['ours']}" in ours.output
        with Client(port, EPICS_CA_ADDR_LIST=BROADCAST) as client:
            for name in names.values():
                client.connect(name)
            status = client.monitor(names["ours"])
            status.wait_for_events(1)
        # Over restarts of each.
        first.end()
        stack.enter_context(base(tmp_path, port, "B1"))
        assert found(port, "B1:X")
        assert ours.end() == 0
        again = stack.enter_context(Ioc(directory, script, "--prefix", "TE:", port=port)).ready()
        assert all(found(port, name) for name in names.values())

        def told() -> bool:
            client = subprocess.run(
                [*COMMAND, "status", "--prefix", "TE:", "--port", str(port)],
                env={**ca_environ(port), "EPICS_CA_ADDR_LIST": ""},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            well = (client.returncode, client.stderr) == (0, "")
            return well and "Running" in client.stdout

        until(told)
        assert again.end() == 0


def test_one_ioc_for_each_instance(tmp_path: Path, script: Path) -> None:
    """Three IOCs of one port, as ISIS starts them, serve; each is found and read."""
    port = free_port()
    names = [f"BGRSCRPT_0{number}" for number in (1, 2, 3)]
    with ExitStack() as stack:
        iocs: list[Ioc] = []
        for name in names:
            (tmp_path / name).mkdir()
            arguments = (script, "--prefix", "TE:", "--name", name)
            iocs.append(stack.enter_context(Ioc(tmp_path / name, *arguments, port=port)))
        for ioc in iocs:
            ioc.ready()
        with Client(port, EPICS_CA_ADDR_LIST=BROADCAST) as client:
            for name in names:
                until(lambda name=name: client.get(f"TE:{name}:STATUS") == 2)
        for ioc in iocs:
            assert ioc.end() == 0


async def test_beacons_and_answers_name_the_tcp_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client is told is where this server listens, not what it wished for."""
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as other,
        closing(socket.socket(type=socket.SOCK_DGRAM)) as repeater,
    ):
        wished = other.getsockname()[1]
        repeater.bind(("127.0.0.1", 0))
        repeater.settimeout(DEADLINE)
        monkeypatch.setenv("EPICS_CAS_BEACON_ADDR_LIST", f"127.0.0.1:{repeater.getsockname()[1]}")
        pvs = InstanceRecords("TE:", "BGRSCRPT_01", log_tail=1000)
        async with CaServer(pvs.by_full_name, ["127.0.0.1"], wished) as server:
            _, _, _, port, _, _ = HEADER.unpack_from(repeater.recv(100))
            assert port == server.tcp_port != wished


async def test_a_udp_port_that_is_not_shared() -> None:
    """A program that does not share the UDP port is the one thing that is in the way."""
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as selfish:
        selfish.bind(("127.0.0.1", 0))
        port = selfish.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"UDP port {port} of 127.0.0.1 is in use"):
            await CaServer({}, ["127.0.0.1"], port).start()


# --- a name that is served already ---------------------------------------------------------------


@pytest.fixture
def somebody() -> Iterator[socket.socket]:
    """A socket that searches reach."""
    with socket.socket(type=socket.SOCK_DGRAM) as own:
        own.settimeout(DEADLINE)
        own.bind(("127.0.0.1", 0))
        yield own


def answer(somebody: socket.socket, port: int) -> None:
    """Answer the next search for one name."""
    _, client = somebody.recvfrom(4096)
    somebody.sendto(HEADER.pack(6, 8, port, 0, 0xFFFFFFFF, 0) + struct.pack(">H6x", 13), client)


def test_who_answers_twice_has_the_name(somebody: socket.socket) -> None:
    """The refusal names the PV, the server, and the remedies."""
    search = NameSearch(["A:STATUS"], [somebody.getsockname()])
    with closing(search):
        answer(somebody, 4711)
        data = HEADER.pack(6, 8, 4711, 0, 0xFFFFFFFF, 0) + struct.pack(">H6x", 13)
        somebody.sendto(data, ("127.0.0.1", _port(search)))
        why = search.refusal()
    assert why.startswith("A:STATUS is served already, by 127.0.0.1:4711: ")
    assert "--force" in why


def _port(search: NameSearch) -> int:
    return search._socket.getsockname()[1]


def test_who_has_just_ended_does_not(somebody: socket.socket) -> None:
    """An IOC that answered once, and no more, is gone: this one replaces it."""
    with closing(NameSearch(["A:STATUS"], [somebody.getsockname()])) as search:
        answer(somebody, 4711)
        assert search.refusal() == ""


def test_questions_fit_into_datagrams() -> None:
    """Many long names go out in several datagrams, and each is called by its place."""
    names = [f"{number:04}:{'X' * 50}" for number in range(100)]
    data = list(questions(names))
    assert max(map(len, data)) <= 1024
    assert b"".join(data).count(b"X" * 50) == 100


def test_a_second_ioc_of_an_instance(tmp_path: Path, script: Path) -> None:
    """Where the network has the PVs, an IOC is refused before it serves; with --force it starts."""
    port = free_port()
    database = tmp_path / "a.db"
    database.write_text('record(bi, "TE:BGRSCRPT_01:STATUS") {}\n')
    peer = [sys.executable, str(HERE / "softioc_peer.py"), str(database), ""]
    with Peer(peer, ca_environ(port, EPICS_CAS_INTF_ADDR_LIST="")):
        with Ioc(tmp_path, script, "--prefix", "TE:", port=port) as second:
            assert second.exit_code() == 1
        assert f"TE:BGRSCRPT_01:STATUS is served already, by 127.0.0.1:{port}" in second.output
        assert "serving" not in second.output
        with Ioc(tmp_path, script, "--prefix", "TE:", "--force", port=port) as forced:
            forced.ready()
            assert forced.end() == 0


def test_odd_variables_do_not_stop_the_ioc(tmp_path: Path, script: Path) -> None:
    """The IOC serves by the defaults, and the log says which variable is wrong."""
    odd = {
        "EPICS_CAS_BEACON_PERIOD": "0",
        "EPICS_CAS_BEACON_PORT": "text",
        "EPICS_CA_REPEATER_PORT": "-1",
        "EPICS_CA_CONN_TMO": "",
        "EPICS_CA_MAX_ARRAY_BYTES": "text",
        "EPICS_CA_MAX_SEARCH_PERIOD": "",
        "EPICS_CAS_IGNORE_ADDR_LIST": "a..b 1:99999999",
        "EPICS_TS_MIN_WEST": "",
    }
    with Ioc(tmp_path, script, "--prefix", "TE:", environ=odd) as ioc:
        ioc.ready()
        with Client(ioc.port) as client:
            client.connect("TE:BGRSCRPT_01:STATUS")
        assert ioc.end() == 0
    assert "EPICS_CAS_BEACON_PERIOD='0' is not a number of seconds above 0: 15 is" in ioc.output
    assert "EPICS_CAS_BEACON_PORT='text' is not a port from 5001 to 65535: 5065 is" in ioc.output
