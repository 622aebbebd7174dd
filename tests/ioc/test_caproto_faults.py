"""For each fault of caproto 1.3.0's server in our list: our server does not have the fault.

Numbers 13 (processes) and 15 (autosave) have nothing to do with Channel Access.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

import caproto as ca
import pytest

from benchmarks.raw import EVENT_ADD, Raw
from benchmarks.rig import fuzz
from benchmarks.rig.ca import (
    CHAR,
    DBE_ALARM,
    ECA_NORMAL,
    ECA_NOWTACCESS,
    ECA_PUTFAIL,
    ENUM,
    STRING,
    TIME,
    Client,
    free_port,
)
from benchmarks.rig.raw import RawClient
from bgrscrpt_ioc.access.rights import Asker
from bgrscrpt_ioc.ca.link import Link
from bgrscrpt_ioc.ca.search import searched
from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.records.instance import InstanceRecords
from tests.ioc.served import P, Served

MAJOR, WRITE = 2, 2


def test_fault_1_a_stalled_client_stops_nobody(serve: Served, client: Client) -> None:
    """A client that reads nothing does not delay others, and later reads the newest value."""
    status = client.monitor(P + "STATUS")
    with RawClient(serve.port, buffer=4096) as stalled:
        log = stalled.open(P + "LOG")
        stalled.send(log.subscribe())
        flood = [f"{number:05} {'x' * 15_000}" for number in range(600)]
        for start in range(0, 600, 100):
            serve.ask("publish_many", pv="LOG", values=flood[start : start + 100])
        serve.publish("STATUS", State.RUNNING)
        assert status.wait_for(State.RUNNING) == [State.STOPPED, State.RUNNING]
        seen = [b""]
        while seen[-1] != b"00599":
            seen.append(stalled.receive(ca.EventAddResponse).data[:5].tobytes().strip(b"\0"))
    assert len(seen) < 500, "it was not stalled"
    assert seen == sorted(seen)


def test_fault_2_sigterm_ends_in_order(serve: Served, client: Client) -> None:
    """SIGTERM completes pending puts, as failed, before the connections end."""
    pending = client.begin_put(P + "START")
    serve.asked("start")
    assert serve.end(signal.SIGTERM) == 0
    assert client.answer(pending) == ECA_PUTFAIL
    assert {"left": 0} in serve.said


def test_fault_3_an_exception_kills_nothing(serve: Served, client: Client) -> None:
    """A fault of the IOC in a command fails the put and is logged; the server lives on."""
    pending = client.begin_put(P + "CHECK")
    serve.asked("check")
    serve.complete("check", fault="division by cucumber")
    assert client.answer(pending) == ECA_PUTFAIL
    assert "RuntimeError: division by cucumber" in serve.log.read_text()
    assert client.get(P + "CHECK", STRING) == "Done"


def test_fault_4_busy_is_read_while_anyone_waits(
    serve: Served, start_client: Callable[..., Client]
) -> None:
    """Puts of several clients complete one by one; the record is Busy until the last one."""
    first, second, third = start_client(), start_client(), start_client()
    watched = third.monitor(P + "START")
    one = first.begin_put(P + "START")
    serve.asked("start")
    two = second.begin_put(P + "START")
    serve.asked("start")
    assert third.get(P + "START", STRING) == "Busy"
    serve.complete("start")
    assert first.answer(one) == ECA_NORMAL
    assert not second.answered(two)
    assert third.get(P + "START", STRING) == "Busy"
    serve.complete("start")
    assert second.answer(two) == ECA_NORMAL
    assert watched.wait_for(0) == [0, 1, 0]


@pytest.mark.parametrize("garbage", [99, 2, -1, 0.5, float("nan"), "", "Bus", "2", "nan"])
def test_fault_5_garbage_does_not_poison_the_value(
    serve: Served, client: Client, garbage: object
) -> None:
    """A value that is no choice is refused and starts nothing; the record does not change."""
    assert client.put_callback(P + "START", garbage) == ECA_PUTFAIL
    for kind, value in ((ENUM, 0), (STRING, "Done"), (TIME + ENUM, 0), (CHAR, 0)):
        assert client.get(P + "START", kind) == value
    assert not [each for each in serve.said if "asked" in each]


@pytest.mark.parametrize("field", ["STATUS.ZRST", "START.DESC", "START.DISP", "START.PROC", "PID"])
def test_fault_6_fields_and_readbacks_are_frozen(serve: Served, client: Client, field: str) -> None:
    """No client can write them, whether or not it respects the access rights."""
    before = client.get(P + field)
    assert client.connect(P + field)["writable"] == 0
    assert client.put_callback(P + field, 1) == ECA_NOWTACCESS
    with RawClient(serve.port) as rude:
        channel = rude.open(P + field)
        rude.send(channel.write([b"EVIL"], ca.ChannelType.STRING, notify=True))
        assert rude.receive(ca.WriteNotifyResponse).status.code_with_severity == ECA_NOWTACCESS
        rude.send(channel.write([b"EVIL"], ca.ChannelType.STRING))
        assert rude.receive(ca.ErrorResponse).status.code_with_severity == ECA_NOWTACCESS
    assert client.get(P + field) == before


def test_fault_7_texts_are_utf8_and_end_with_nul(serve: Served, client: Client) -> None:
    """Text of any script comes through, is cut between characters, and nothing follows it."""
    message = P + "STATUS:MSG"
    assert client.elements(message) == [0], "the empty text is a NUL"
    serve.publish("STATUS:MSG", "Ж" * 600)
    assert client.text(message) == "Ж" * 511
    serve.publish("STATUS:MSG", "kurz")
    assert client.elements(message) == [*b"kurz", 0]
    assert client.elements(message, CHAR, 1024) == [*b"kurz"] + [0] * 1020
    serve.publish("EXITREASON", "Ж" * 30)
    assert client.get(P + "EXITREASON") == "Ж" * 19
    assert bytes(client.elements(P + "EXITREASON.VAL$")).decode() == "Ж" * 19 + "\0"


@pytest.mark.parametrize("field", ["DISP", "PROC", "LCNT", "TPRO", "UDF"])
def test_fault_8_byte_fields_have_one_element(client: Client, field: str) -> None:
    """Byte fields have one element, a zero, and no garbage after it."""
    answer = client.raw(f"{P}STATUS.{field}", CHAR, 1, size=1)
    assert answer == {"status": ECA_NORMAL, "count": 1, "data": b"\0"}
    assert client.get(f"{P}STATUS.{field}", STRING) == "0"


def test_fault_9_a_change_of_severity_alone_is_posted(serve: Served, client: Client) -> None:
    """An alarm without another value reaches all who watch for alarms."""
    both, alarms = client.monitor(P + "STATUS"), client.monitor(P + "STATUS", DBE_ALARM)
    serve.publish("STATUS", State.RUNNING)
    serve.publish("STATUS", State.RUNNING, MAJOR)
    serve.publish("STATUS", State.RUNNING, MAJOR)
    serve.publish("STATUS", State.RUNNING)
    assert [each["severity"] for each in both.wait_for_events(4)] == [0, 0, 2, 0]
    assert [each["severity"] for each in alarms.wait_for_events(3)] == [0, 2, 0]
    assert client.get(P + "STATUS.SEVR", STRING) == "NO_ALARM"


def test_fault_9_a_failed_command_is_in_alarm_until_the_next_success(
    serve: Served, client: Client
) -> None:
    """The record shows the failure too, because pyepics' put(wait=True) ignores a put's status."""
    alarms = []
    for failure in "no script", "":
        pending = client.begin_put(P + "START")
        serve.asked("start")
        serve.complete("start", failure)
        assert client.answer(pending) == (ECA_PUTFAIL if failure else ECA_NORMAL)
        reading = client.read(P + "START", TIME + ENUM)
        alarms.append((reading["severity"], reading["status"]))
    assert alarms == [(MAJOR, WRITE), (0, 0)]


@pytest.mark.parametrize(
    ("user", "claimed", "peer", "by"),
    [
        ("alice", "ndw1234", "127.0.0.1", "alice@ndw1234"),
        ("alice", "ndw1234", "192.168.1.7", "alice@192.168.1.7"),
        ("", "", "127.0.0.1", "?@?"),
        ("a\nb\x1b", "x" * 99, "127.0.0.1", f"a?b?@{'x' * 40}"),
    ],
)
def test_fault_10_who_puts_is_not_only_what_it_claims(
    user: str, claimed: str, peer: str, by: str
) -> None:
    """The host is the real one if it can be known, and names cannot break a line."""
    assert Asker(user, claimed, peer, "").by == by


def test_fault_10_who_puts_reaches_the_instance(serve: Served) -> None:
    """The command comes with user and host."""
    with RawClient(serve.port, user="alice", host="ndw1234") as client:
        client.send(client.open(P + "STOP").write([1], ca.ChannelType.ENUM))
        assert serve.asked("stop") == "alice@ndw1234"
    serve.complete("stop")


def test_fault_11_the_loopback_is_searched_by_broadcast(
    start_client: Callable[..., Client],
) -> None:
    """A client that broadcasts on the loopback finds the server, like any IOC on its host."""
    client = start_client(EPICS_CA_ADDR_LIST="127.255.255.255")
    assert client.connect(P + "STATUS")["count"] == 1


def test_fault_11_ignored_addresses_get_no_answer(start_ioc: Callable[..., Served]) -> None:
    """A client on EPICS_CAS_IGNORE_ADDR_LIST finds nothing."""
    ioc = start_ioc(environ={"EPICS_CAS_IGNORE_ADDR_LIST": "10.0.0.1 127.0.0.1"})
    with Client(ioc.port) as client, pytest.raises(RuntimeError, match="not found"):
        client.connect(P + "STATUS", timeout=0.5)


def test_fault_11_the_port_is_the_one_that_is_asked_for(start_ioc: Callable[..., Served]) -> None:
    """The server's port has a setting of its own, different from the clients' port."""
    ioc = start_ioc(environ={"EPICS_CA_SERVER_PORT": str(free_port())})
    with Client(ioc.port) as client:
        assert client.get(P + "STATUS") == 0


async def test_fault_12_servers_share_a_loop_and_leave_nothing() -> None:
    """Two servers in one event loop work side by side.

    After their end no task or socket is left.
    """
    for _ in range(2):
        ports = free_port(), free_port()
        pvs = InstanceRecords("TE:", "BGRSCRPT_01", log_tail=1000)
        async with (
            CaServer(pvs.by_full_name, ["127.0.0.1"], ports[0]),
            CaServer(pvs.by_full_name, ["127.0.0.1"], ports[1]),
        ):
            for port in ports:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(bytes(ca.VersionRequest(0, 13)))
                assert len(await reader.readexactly(16)) == 16
                writer.close()
                await writer.wait_closed()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_fault_14_small_answers_are_not_delayed() -> None:
    """TCP_NODELAY is set on the connections of clients."""
    pvs = InstanceRecords("TE:", "BGRSCRPT_01", log_tail=1000)
    port = free_port()
    async with CaServer(pvs.by_full_name, ["127.0.0.1"], port) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes(ca.VersionRequest(0, 13)))
        await reader.readexactly(16)
        (link,) = server._links
        assert isinstance(link, Link)
        assert link._transport is not None
        sock = link._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
        await writer.wait_closed()


def test_fault_14_pipelined_gets_are_answered_in_order(serve: Served) -> None:
    """A thousand gets in one packet have a thousand answers, in order."""
    with RawClient(serve.port) as client:
        channel = client.open(P + "STATUS")
        client.send(*(channel.read(ioid=number) for number in range(1000)))
        answers = [client.receive(ca.ReadNotifyResponse).ioid for _ in range(1000)]
        assert answers == [*range(1000)]


def test_a_cleared_channel_takes_only_its_own_monitors_along(serve: Served, client: Client) -> None:
    """After a channel with a monitor is cleared, the client's other monitors go on."""
    with RawClient(serve.port) as other:
        first, second = other.open(P + "STATUS"), other.open(P + "LOG:LINE")
        other.send(first.subscribe(), second.subscribe())
        other.receive(ca.EventAddResponse)
        other.receive(ca.EventAddResponse)
        other.send(first.clear())
        other.receive(ca.ClearChannelResponse)
        assert not serve.ask("watched", pvs=["STATUS"])
        serve.publish("STATUS", State.RUNNING)
        serve.publish("LOG:LINE", "hello")
        assert other.receive(ca.EventAddResponse).data.tobytes() == b"hello\0"
    assert client.get(P + "STATUS") == State.RUNNING


def test_a_channel_is_cleared_by_our_number_of_it(serve: Served) -> None:
    """A ClearChannel with the numbers of two channels ends the one with our number."""
    with Raw(serve.port) as confused:
        status, line = confused.create(P + "STATUS", P + "LOG:LINE")
        confused.subscribe(line, CHAR)
        confused.count(EVENT_ADD, 1)
        confused.socket.sendall(bytes(ca.ClearChannelRequest(status, 1)))
        confused.count(ca.ClearChannelResponse.ID, 1)
        serve.publish("LOG:LINE", "hello")
        confused.count(EVENT_ADD, 1)


@pytest.mark.parametrize("name", ["NONE", "LOG.VAL[1:2:3:4]", 'LOG.VAL{"arr":' * 500])
def test_names_that_nobody_has_are_refused(serve: Served, name: str) -> None:
    """Unknown names are refused without caproto's filter parser, and leave nothing.

    The circuit lives.
    """
    with RawClient(serve.port) as rude:
        for cid in 7, 7, 8:  # the same one may be tried again
            rude.socket.sendall(fuzz.text(fuzz.CREATE, P + name, cid))
            answer = rude.socket.recv(16, socket.MSG_WAITALL)
            assert (answer[1], answer[11]) == (26, cid)
        assert rude.open(P + "STATUS").sid is not None
    assert "Traceback" not in serve.log.read_text()


def test_a_datagram_may_carry_what_its_messages_need_not() -> None:
    """Bytes after a message that should have none are skipped, and the next message is read."""
    version = bytes(ca.VersionRequest(0, 13))
    padded = version[:3] + b"\x08" + version[4:] + bytes(8)
    search = bytes(ca.SearchRequest(P + "STATUS", 5, 13))
    assert searched(padded + search).names == [(P + "STATUS", 5)]
