"""The network cannot harm the IOC: whatever comes, correct clients are served as usual."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import caproto as ca
import pytest

from benchmarks.rig import fuzz
from benchmarks.rig.ca import DEADLINE, ECA_NORMAL, Client, free_port
from benchmarks.rig.iocs import FOREVER, Ioc, survivors, until
from benchmarks.rig.network import (
    STRUCTURES,
    Watched,
    connected,
    fuzz_over_sockets,
    idle,
    open_ones,
    scan,
    searches,
)
from benchmarks.rig.raw import RawClient
from bgrscrpt_ioc.access.complaints import OFFENDERS, QUIET, Complaints
from bgrscrpt_ioc.ca.links import ClientLimits, Patience
from bgrscrpt_ioc.ca.search import Searches
from bgrscrpt_ioc.ca.server import CaServer
from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.records.instance import InstanceRecords
from tests.faults import standing
from tests.ioc.served import P, Served

SEED = int(os.environ.get("FUZZ_SEED", str(fuzz.SEED)))
CASES = int(os.environ.get("FUZZ_CASES", "100000"))
OVER_SOCKETS = 3000  # of them, the next ones
CAN_CUT = (
    shutil.which("ip") is not None
    and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode
    == 0
)


@pytest.fixture
def ioc(tmp_path: Path) -> Iterator[Ioc]:
    """The real IOC with a script that runs."""
    script = tmp_path / "script.py"
    script.write_text(FOREVER)
    with Ioc(tmp_path, script, "--prefix", "TE:", "--no-echo") as ioc:
        with Client(ioc.ready().port) as client:
            client.monitor(P + "STATUS").wait_for(State.RUNNING)
        yield ioc


def works(client: Client) -> None:
    """A client over libca gets, puts with callback and watches."""
    assert client.get(P + "STATUS") is not None
    assert client.put_callback(P + "START", 0) == ECA_NORMAL
    assert client.monitor(P + "STATUS").wait_for_events(1)


# --- what makes no sense -----------------------------------------------------------------------


@pytest.mark.timeout(1800)  # half a minute of processor time, of which others may leave little
def test_nothing_that_a_client_sends_breaks_the_protocol_object() -> None:
    """After 100,000 cases no exception, no subscriber, no memory is left, and one line each."""
    print(f"FUZZ_SEED={SEED} FUZZ_CASES={CASES}")
    watch = standing.Watch()
    logging.getLogger().addHandler(watch)
    try:
        asyncio.run(standing.run(SEED, range(2000)))
        gc.collect()
        before, said = sys.getallocatedblocks(), len(watch.lines)
        asyncio.run(standing.run(SEED, range(2000, CASES)))
        gc.collect()
        assert sys.getallocatedblocks() - before < 5000
    finally:
        logging.getLogger().removeHandler(watch)
    assert all(line.startswith("bgrscrpt_ioc.clients: 10.0.0.1: ") for line in watch.lines)
    assert said >= 1
    assert len(watch.lines) < 2 + 600 / QUIET


async def test_a_conversation_may_come_in_any_pieces() -> None:
    """Cut at every byte, and into single bytes, a conversation gets the same answers."""
    data = b"".join(fuzz.CONVERSATION)
    cuts = [[data], [bytes([each]) for each in data]]
    cuts += [[data[:at], data[at:]] for at in range(1, len(data))]
    answers: set[tuple[tuple[int, int], ...]] = set()
    for pieces in cuts:
        server = standing.Standing()
        link, transport = await server.connect()
        for piece in pieces:
            await server.feed(link, transport, piece)
        for _ in range(20):  # turns: more than the longest answer takes
            server.complete()
            await asyncio.sleep(0)
        transport.abort()
        await link.closed
        await server.check()
        answers.add(outline(bytes(transport.sent)))
    (answer,) = answers
    assert len(answer) == 18


def outline(data: bytes) -> tuple[tuple[int, int], ...]:
    """Return command and size of each message; puts end in any order."""
    found, at = [], 0
    while at < len(data):
        command, size = fuzz.HEADER.unpack_from(data, at)[:2]
        found.append((command, size))
        at += fuzz.HEADER.size + size
    return tuple(sorted(found))


def test_the_ioc_stands_it_over_sockets(ioc: Ioc) -> None:
    """After thousands of bad clients a good one works, and only one line tells of them."""
    with Client(ioc.port) as client:
        works(client)
        fuzz_over_sockets(ioc.port, SEED, range(CASES, CASES + 500))
        watched = Watched(ioc.process.pid)
        fuzz_over_sockets(ioc.port, SEED, range(CASES + 500, CASES + OVER_SOCKETS))
        works(client)
        until(watched.as_before)
        assert watched.grown() < STRUCTURES
    assert ioc.end() == 0
    assert "Traceback" not in ioc.output
    said = [line for line in ioc.output.splitlines() if "127.0.0.1: " in line]
    assert 1 <= len(said) < 2 + 600 / QUIET


def test_nobody_is_kept_waiting_for_a_long_request(serve: Served, client: Client) -> None:
    """A request that announces more than the limit ends the connection before it comes."""
    with closing(connected(serve.port)) as rude:
        rude.sendall(fuzz.EXTENDED.pack(fuzz.WRITE, 0xFFFF, 4, 0, 0, 0, 1 << 30, 1 << 30))
        assert rude.recv(1) == b""
    assert "127.0.0.1: connection ended: a request of more than" in serve.log.read_text()
    works(client)


# --- many --------------------------------------------------------------------------------------


def test_500_idle_connections(ioc: Ioc) -> None:
    """They are kept and cost little memory, and another client works beside them."""
    watched = Watched(ioc.process.pid)
    with idle(ioc.port, 500) as sockets:
        with Client(ioc.port) as client:
            works(client)
        assert open_ones(sockets) == 500
        assert watched.grown() < 500 * 40_000
    until(watched.as_before)


def test_a_port_scan_leaves_nothing(ioc: Ioc) -> None:
    """Clients that connect and go, with a reset or not, leave no descriptor and no line."""
    watched = Watched(ioc.process.pid)
    scan(ioc.port, 2000)
    until(watched.as_before)
    with Client(ioc.port) as client:
        works(client)
    assert ioc.end() == 0
    assert "127.0.0.1: " not in ioc.output


def test_20_clients_put_at_once(ioc: Ioc) -> None:
    """Each put of RESTART completes with its result, and in the end one script runs."""
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(ioc.port)) for _ in range(20)]
        channels = [client.open(P + "RESTART") for client in clients]
        for client, channel in zip(clients, channels, strict=True):
            client.send(channel.write([1], ca.ChannelType.ENUM, notify=True))
        answers = {client.receive(ca.WriteNotifyResponse).status.name for client in clients}
        assert answers == {"ECA_NORMAL"}
        with Client(ioc.port) as client:
            assert client.get(P + "STATUS") == State.RUNNING
            assert client.get(P + "RESTART") == 0
            assert list(survivors(ioc.port)) == [client.get(P + "PID")]


def test_10000_searches_a_second(ioc: Ioc) -> None:
    """A flood of searches for unknown names is not answered; a client finds PVs and reads on."""
    with (
        Client(ioc.port) as client,
        closing(socket.socket(type=socket.SOCK_DGRAM)) as own,
        searches(ioc.port, "NOBODY:HAS:THIS", 10_000, 2) as sent,
    ):
        works(client)
        own.settimeout(0.5)
        own.sendto(fuzz.text(fuzz.SEARCH, P + "NONE", 1, 1), ("127.0.0.1", ioc.port))
        with pytest.raises(TimeoutError):
            own.recv(1000)
        assert sent() > 1000
        with Client(ioc.port) as newcomer:
            works(newcomer)


# --- slow, and gone ----------------------------------------------------------------------------


def test_a_stopped_client_costs_the_others_nothing(
    serve: Served, start_client: Callable[..., Client]
) -> None:
    """The server keeps little for it and serves the others; when it goes on, it gets the newest."""
    slow, other = start_client(), start_client()
    log = slow.monitor(P + "LOG")
    slow_log = log.wait_for_events(1)
    watched = Watched(serve.process.pid)
    slow.process.send_signal(signal.SIGSTOP)
    try:
        seen = other.monitor(P + "LOG:COUNT")
        for start in range(0, 2000, 100):
            flood = [f"{number:05} {'x' * 15_000}" for number in range(start, start + 100)]
            serve.ask("publish_many", pv="LOG", values=flood)
            serve.publish("LOG:COUNT", start)
        seen.wait_for(1900)
        assert watched.grown() < 5_000_000
    finally:
        slow.process.send_signal(signal.SIGCONT)
    newest = [*b"01999"]
    slow.wait_for(lambda: log.events[-1]["value"][:5] == newest)
    assert len(slow_log) < len(log.events) < 1900


@pytest.mark.skipif(not CAN_CUT, reason="needs iproute2, and the right to make a network to cut")
async def test_who_vanishes_is_found_out(caplog: pytest.LogCaptureFixture) -> None:
    """A client whose cable is cut is given up after a while, and the log says so."""
    limits = ClientLimits(patience=Patience(silence=1, asking=1, vanished=3))
    name = f"bgr{os.getpid()}"
    ours, theirs = f"{name}a"[-15:], f"{name}b"[-15:]
    port = free_port()

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=DEADLINE, capture_output=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        ip("addr", "add", "198.51.100.1/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", name, "addr", "add", "198.51.100.2/30", "dev", theirs)
        ip("-n", name, "link", "set", theirs, "up")
        code = (
            f"import socket,time;s=socket.create_connection(('198.51.100.1',{port}));time.sleep(99)"
        )
        pvs = InstanceRecords("TE:", "BGRSCRPT_01", log_tail=1000)
        async with CaServer(pvs.by_full_name, ["198.51.100.1"], port, limits) as server:
            client = subprocess.Popen(  # noqa: ASYNC220 - short, and nothing else runs
                ["ip", "netns", "exec", name, sys.executable, "-c", code]
            )
            try:
                async with asyncio.timeout(DEADLINE):
                    while not len(server._links):
                        await asyncio.sleep(0.01)
                    ip("-n", name, "link", "set", theirs, "down")
                    while len(server._links):
                        await asyncio.sleep(0.01)
            finally:
                client.kill()
                client.wait()
    finally:
        ip("netns", "delete", name)
    assert "198.51.100.2: connection ended: " in caplog.text


# --- too much ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["connections", "connections_of_host"])
def test_an_operator_gets_in_where_all_places_are_taken(
    start_ioc: Callable[..., Served], limit: str
) -> None:
    """The connection that was idle longest makes room; a client at work keeps its connection."""
    serve = start_ioc(limits={limit: 10})
    with Client(serve.port) as old, idle(serve.port, 20) as sockets:
        works(old)
        seen = old.monitor(P + "LOG:LINE")
        with Client(serve.port) as operator, idle(serve.port, 5):
            works(operator)
            serve.publish("LOG:LINE", "still here")
            seen.wait_for([*b"still here", 0])
        until(lambda: open_ones(sockets) < 10)
    assert serve.log.read_text().count("too many connections: ") == 1


def test_channels_monitors_and_puts_are_counted(start_ioc: Callable[..., Served]) -> None:
    """Beyond its limit a connection is refused with a status, reported once.

    Below it, all works.
    """
    limits = {"channels": 3, "subscriptions": 2, "puts_of_circuit": 2}
    serve = start_ioc(limits=limits)
    with RawClient(serve.port) as greedy:
        start, log, _ = (greedy.open(P + pv) for pv in ("START", "LOG", "PID"))
        greedy.send(ca.CreateChanRequest(P + "CPU", 77, 13))
        assert greedy.receive(ca.CreateChFailResponse).cid == 77
        for _ in range(2):
            greedy.send(log.subscribe())
            greedy.receive(ca.EventAddResponse)
        greedy.send(log.subscribe())
        assert greedy.receive(ca.ErrorResponse).status.name == "ECA_ADDFAIL"
        for _ in range(3):
            greedy.send(start.write([1], ca.ChannelType.ENUM, notify=True))
        answer = greedy.receive(ca.WriteNotifyResponse)
        assert answer.status.name == "ECA_PUTCBINPROG"
        for _ in range(2):
            serve.complete("start")
            assert greedy.receive(ca.WriteNotifyResponse).status.name == "ECA_NORMAL"
        greedy.send(start.write([0], ca.ChannelType.ENUM, notify=True))
        assert greedy.receive(ca.WriteNotifyResponse).status.name == "ECA_NORMAL"
    with RawClient(serve.port) as modest:
        assert modest.open(P + "CPU").sid is not None
    assert serve.log.read_text().count("127.0.0.1: refused: ") == 1


def test_who_fills_a_record_with_puts_keeps_nobody_out(start_ioc: Callable[..., Served]) -> None:
    """One put of a client is carried out, however many puts of others to the PV have not ended."""
    serve = start_ioc(limits={"puts_of_channel": 2})
    with RawClient(serve.port) as greedy, RawClient(serve.port) as operator:
        for client, puts in ((greedy, 3), (operator, 2)):
            start = client.open(P + "START")
            for _ in range(puts):
                client.send(start.write([1], ca.ChannelType.ENUM, notify=True))
            assert client.receive(ca.WriteNotifyResponse).status.name == "ECA_PUTCBINPROG"
        for client in (greedy, greedy, operator):
            serve.complete("start")
            assert client.receive(ca.WriteNotifyResponse).status.name == "ECA_NORMAL"


def test_short_of_descriptors_the_ioc_lives_and_lets_an_operator_in(ioc: Ioc) -> None:
    """Without descriptors the IOC neither ends nor spins; later all is as before."""
    watched = Watched(ioc.process.pid)
    with Client(ioc.port) as old:
        works(old)
        before = resource.prlimit(ioc.process.pid, resource.RLIMIT_NOFILE)
        most = watched.descriptors() + 10
        resource.prlimit(ioc.process.pid, resource.RLIMIT_NOFILE, (most, before[1]))
        with idle(ioc.port, 60):
            used = watched.processor()
            with Client(ioc.port) as operator:
                works(operator)
            works(old)
            assert watched.processor() - used < 5
        resource.prlimit(ioc.process.pid, resource.RLIMIT_NOFILE, before)
        works(old)
        until(lambda: watched.descriptors() <= most - 8)
    assert ioc.end() == 0
    assert "Traceback" not in ioc.output
    assert ioc.output.count("no connection accepted: OSError: [Errno 24]") == 1


def test_a_conversion_that_takes_long_is_refused(start_ioc: Callable[..., Served]) -> None:
    """A large array as texts, for which a client could ask without end, is not made."""
    serve = start_ioc(log_tail=1_000_000)
    serve.publish("LOG", "x" * 999_000)
    with RawClient(serve.port) as client:
        log = client.open(P + "LOG")
        client.send(log.read(ca.ChannelType.STRING))
        assert client.receive(ca.ReadNotifyResponse).status.name == "ECA_TOLARGE"
        client.send(log.subscribe(ca.ChannelType.STRING))
        assert client.receive(ca.ErrorResponse).status.name == "ECA_TOLARGE"
        client.send(log.read())
        assert len(client.receive(ca.ReadNotifyResponse).data) == 999_001


def test_a_client_that_asks_without_end_leaves_the_others_their_turn(
    serve: Served, client: Client
) -> None:
    """While one client has LOG converted a thousand times, another is answered in between."""
    serve.publish("LOG", "x" * 15_999)
    with RawClient(serve.port) as greedy:
        log = greedy.open(P + "LOG")
        greedy.send(*(log.read(ca.ChannelType.STRING, ioid=number) for number in range(200)))
        first = greedy.receive(ca.ReadNotifyResponse).ioid
        works(client)
        last = [greedy.receive(ca.ReadNotifyResponse).ioid for _ in range(199)]
    assert [first, *last] == [*range(200)]


# --- what is said of it ------------------------------------------------------------------------


def test_one_line_a_minute_for_each_offender(caplog: pytest.LogCaptureFixture) -> None:
    """A minute later the next line says how many there were in between."""
    now = 100.0
    complaints = Complaints(lambda: now)
    for what in ValueError("one"), "two", "three\n\x1b[31m" + "x" * 999:
        complaints.say("10.0.0.1", what)
    complaints.say("10.0.0.2", "other")
    now += QUIET
    complaints.say("10.0.0.1", "three\n\x1b[31m" + "x" * 999)
    said = caplog.messages
    assert said[:2] == ["10.0.0.1: ValueError: one", "10.0.0.2: other"]
    assert re.fullmatch(r"10\.0\.0\.1: three  \[31mx+\.\.\. \(and 2 more before\)", said[2])
    assert len(said) == 3


def test_offenders_are_not_remembered_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody can invent senders of datagrams: beyond a number they are one, until some are old."""
    now = 100.0
    complaints = Complaints(lambda: now)
    for number in range(OFFENDERS + 50):
        complaints.say(str(number), "bad")
    assert len(caplog.messages) == OFFENDERS + 1
    assert caplog.messages[-1] == "others: bad"
    assert len(complaints._said) == OFFENDERS + 1
    now += QUIET
    complaints.say("new", "bad")
    assert caplog.messages[-1] == "new: bad"
    assert len(complaints._said) == 1


async def test_answers_that_wait_are_few() -> None:
    """If the network does not take them, answers to searches are dropped."""
    mailbox = standing.Mailbox()
    found = Searches(lambda _: True, 5064, (), Complaints())
    found.connection_made(mailbox)
    request = fuzz.text(fuzz.SEARCH, "X", 1, 1)
    found.datagram_received(request, ("10.0.0.1", 9))
    once = mailbox.sent
    mailbox.waiting = 1 << 20
    found.datagram_received(request, ("10.0.0.1", 9))
    assert mailbox.sent == once > 0


async def test_the_end_waits_for_no_answer() -> None:
    """The IOC ends though the network has not taken the answers to searches, and never will."""

    class Stuck(socket.socket):
        def sendto(self, *_: object) -> int:
            raise BlockingIOError

    found = Searches(lambda _: True, 5064, (), Complaints())
    with Stuck(socket.AF_INET, socket.SOCK_DGRAM) as stuck:
        stuck.setblocking(False)
        stuck.bind(("127.0.0.1", 0))
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: found, sock=stuck)
        found.datagram_received(fuzz.text(fuzz.SEARCH, "X", 1, 1), ("127.0.0.1", 9))
        assert transport.get_write_buffer_size()  # type: ignore[attr-defined]
        found.close()
        async with asyncio.timeout(DEADLINE):
            await found.closed
