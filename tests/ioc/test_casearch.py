"""Searches and beacons: the datagrams that the server sends, and their destinations."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator

import caproto as ca
import pytest

from benchmarks.rig.ca import DEADLINE, free_port
from bgrscrpt_ioc.ca.search import Beacons, beacon_destinations
from bgrscrpt_ioc.config.epicsvars import read_epics_variables
from bgrscrpt_ioc.host.networks import broadcast_of, broadcasts, listed
from tests.ioc.served import P, Served


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as listening:
        listening.settimeout(DEADLINE)
        listening.bind(("127.0.0.1", 0))
        yield listening


def test_searches_are_answered_for_what_is_served(serve: Served, udp: socket.socket) -> None:
    """One datagram may ask for several records; only those that are here are answered."""
    names = ("TE:OTHER", P + "STATUS", P + "STATUS.NOFIELD", P + "STATUS.DESC")
    searches = [ca.SearchRequest(name, cid, 13) for cid, name in enumerate(names)]
    client = ca.Broadcaster(our_role=ca.CLIENT)
    question = client.send(ca.VersionRequest(0, 13), *searches)
    udp.sendto(question, ("127.0.0.1", serve.port))
    _, *answers = client.recv(*udp.recvfrom(4096))
    assert [(each.cid, each.port) for each in answers] == [(1, serve.port), (3, serve.port)]


@pytest.mark.parametrize(
    ("version", "begins"), [(13, "00000000 0001000d 00000007 00000000"), (10, "")]
)
def test_an_answer_has_the_number_of_its_question(
    serve: Served, udp: socket.socket, version: int, begins: str
) -> None:
    """After a complete answer to a datagram with a number, libca searches on at once."""
    head = bytes(ca.VersionRequest(0, version))[:8] + struct.pack(">II", 7, 0)
    udp.sendto(head + bytes(ca.SearchRequest(P + "STATUS", 5, 13)), ("127.0.0.1", serve.port))
    head, search, _ = udp.recv(4096).rpartition(bytes.fromhex("0006 0008"))
    assert (head, search) == (bytes.fromhex(begins), b"\0\x06\0\x08")


def test_beacons_announce_the_server(start_ioc: Callable[..., Served], udp: socket.socket) -> None:
    """Beacons go where EPICS_CAS_BEACON_ADDR_LIST says, count up, and name address and port."""
    listening = f"127.0.0.1:{udp.getsockname()[1]}"
    ioc = start_ioc(environ={"EPICS_CAS_BEACON_ADDR_LIST": f"127.0.0.1:x {listening}"})
    client = ca.Broadcaster(our_role=ca.CLIENT)
    beacons = [client.recv(*udp.recvfrom(4096))[0] for _ in range(4)]
    assert [each.beacon_id for each in beacons] == [0, 1, 2, 3]
    assert {(each.address, each.server_port) for each in beacons} == {("127.0.0.1", ioc.port)}
    assert "'127.0.0.1:x' is left out" in ioc.log.read_text()


async def test_a_destination_that_is_not_reached_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A beacon that cannot be sent is logged only once."""
    caplog.set_level("INFO")
    beacons = Beacons(free_port(), {("255.255.255.255", 0): "127.0.0.1"}, period=60)
    for _ in range(3):
        beacons.send()
    beacons.close()
    assert [each.name for each in caplog.records] == ["bgrscrpt_ioc.ca.search"]


@pytest.mark.parametrize(
    ("given", "interfaces", "destinations"),
    [
        ({}, ["127.0.0.1"], {("127.255.255.255", 5065): "127.0.0.1"}),
        (
            {"EPICS_CA_REPEATER_PORT": "6065"},
            ["127.0.0.1"],
            {("127.255.255.255", 6065): "127.0.0.1"},
        ),
        (
            {"EPICS_CAS_BEACON_ADDR_LIST": "10.0.0.1 10.0.0.2:17"},
            ["127.0.0.1"],
            {
                ("10.0.0.1", 5065): "127.0.0.1",
                ("10.0.0.2", 17): "127.0.0.1",
                ("127.255.255.255", 5065): "127.0.0.1",
            },
        ),
        (
            {"EPICS_CAS_BEACON_ADDR_LIST": "10.0.0.1", "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO"},
            ["127.0.0.1"],
            {("10.0.0.1", 5065): "127.0.0.1"},
        ),
        ({"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO"}, ["127.0.0.1"], {}),
    ],
)
def test_beacon_destinations(
    given: dict[str, str], interfaces: list[str], destinations: dict[tuple[str, int], str]
) -> None:
    """Beacons go to the listed addresses and, unless switched off, to the host's own networks."""
    assert beacon_destinations(read_epics_variables(given), interfaces) == destinations


def test_beacons_of_a_server_on_all_interfaces_go_to_every_network() -> None:
    """One to 255.255.255.255 would leave by one interface only."""
    everywhere = "0.0.0.0"  # noqa: S104 - is compared
    found = beacon_destinations(read_epics_variables({}), [everywhere])
    assert [host for host, _ in found] == (broadcasts() or ["255.255.255.255"])


def test_an_address_of_no_interface_has_no_broadcast() -> None:
    """Nothing is guessed about networks that this host is not on."""
    assert broadcast_of("203.0.113.7") is None


def test_address_lists_keep_what_is_an_address(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in an address list costs one entry, and is logged."""
    assert listed("10.0.0.1 10.0.0.2:x 10.0.0.3:7", 5064) == [("10.0.0.1", 5064), ("10.0.0.3", 7)]
    assert "'10.0.0.2:x' is left out" in caplog.text
