"""The PVs of an instance as clients over the real libca see them: commands, readings, monitors."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import struct
from collections.abc import Callable

import caproto as ca
import pytest

from benchmarks.raw import EVENT_ADD, HEADER, MASK, READ_NOTIFY, Raw
from benchmarks.rig.ca import (
    CLASS_NAME,
    DBE_VALUE,
    DOUBLE,
    ECA_DISCONN,
    ECA_GETFAIL,
    ECA_NORMAL,
    ECA_PUTFAIL,
    STRING,
    STSACK_STRING,
    TIME,
    Client,
    free_port,
)
from benchmarks.rig.raw import RawClient
from bgrscrpt_ioc.ca.server import CaServer, PortInUseError
from bgrscrpt_ioc.lifecycle.events import Severity, State
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.table import NO_YES, RECORDS, Record
from tests.ioc.served import P, Served

# --- commands --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 1.0, "1", "Busy"])
def test_a_command_is_busy_until_it_is_done(serve: Served, client: Client, value: object) -> None:
    """However 1 is written, the command is Busy at once, and Done when its state is reached."""
    watched = client.monitor(P + "RESTART")
    pending = client.begin_put(P + "RESTART", value)
    serve.asked("restart")
    assert watched.wait_for(1) == [0, 1]
    assert not client.answered(pending)
    serve.complete("restart")
    assert client.answer(pending) == ECA_NORMAL
    assert watched.wait_for(0) == [0, 1, 0]


@pytest.mark.parametrize("value", [0, "0", "Done"])
def test_writing_0_does_nothing(serve: Served, client: Client, value: object) -> None:
    """A put of Done is accepted and starts nothing."""
    assert client.put_callback(P + "STOP", value) == ECA_NORMAL
    assert not [each for each in serve.said if "asked" in each]


def test_a_failed_command_fails_the_put(serve: Served, client: Client) -> None:
    """The completion of a put says that the state was not reached; no exception is sent."""
    pending = client.begin_put(P + "START")
    serve.asked("start")
    serve.complete("start", "SyntaxError: bad (a.py:1)")
    assert client.answer(pending) == ECA_PUTFAIL
    assert not [each for each in client.said if "exception" in each]


def test_a_plain_put_of_a_failing_command_surprises_nobody(serve: Served, client: Client) -> None:
    """A client that does not wait gets no exception from a failing command.

    The record is in alarm.
    """
    watched = client.monitor(P + "START.SEVR")
    assert client.put(P + "START", 1) == ECA_NORMAL
    serve.asked("start")
    serve.complete("start", "no script")
    watched.wait_for(Severity.MAJOR)
    assert client.get(P + "STATUS") == State.STOPPED
    assert not [each for each in client.said if "exception" in each]


def test_a_pending_put_holds_nothing_up(serve: Served, client: Client) -> None:
    """A client that waits for START can read, and its STOP overtakes the START."""
    start = client.begin_put(P + "START")
    serve.asked("start")
    assert client.get(P + "STATUS", STRING) == "Stopped"
    stop = client.begin_put(P + "STOP")
    serve.asked("stop")
    serve.complete("stop")
    assert client.answer(stop) == ECA_NORMAL
    serve.complete("start", "stopped")
    assert client.answer(start) == ECA_PUTFAIL


def test_a_client_that_leaves_does_not_end_its_command(serve: Served, client: Client) -> None:
    """The command of a client that has gone goes on, and the record is Busy until its end."""
    with RawClient(serve.port) as leaving:
        leaving.send(leaving.open(P + "START").write([1], ca.ChannelType.ENUM, notify=True))
        serve.asked("start")
    watched = client.monitor(P + "START")
    assert watched.wait_for(1) == [1]
    serve.complete("start")
    assert watched.wait_for(0) == [1, 0]


def test_a_cleared_channel_does_not_end_its_command(serve: Served) -> None:
    """A client may drop the channel for which it waits; its connection lives on."""
    with RawClient(serve.port) as client:
        start, status = client.open(P + "START"), client.open(P + "STATUS")
        client.send(start.write([1], ca.ChannelType.ENUM, notify=True))
        serve.asked("start")
        client.send(start.clear())
        client.receive(ca.ClearChannelResponse)
        serve.complete("start")
        client.send(status.read())
        assert client.receive(ca.ReadNotifyResponse).data_count == 1


def test_an_ioc_that_is_killed_completes_puts_as_disconnected(
    serve: Served, client: Client
) -> None:
    """When the IOC is killed, libca reports that, and no put waits for ever."""
    pending = client.begin_put(P + "START")
    serve.asked("start")
    serve.kill()
    assert client.answer(pending) == ECA_DISCONN


def test_autorestart_is_a_switch(serve: Served, client: Client) -> None:
    """AUTORESTART goes to the instance, On and Off alike, and shows what the instance says."""
    watched = client.monitor(P + "AUTORESTART")
    for value, reads in ((1, 1), ("Off", 0), ("On", 1)):
        assert client.put_callback(P + "AUTORESTART", value) == ECA_NORMAL
        assert serve.wait_for_message("asked", "autorestart")["on"] is bool(reads)
        assert client.get(P + "AUTORESTART") == reads
    assert watched.wait_for(1) == [0, 1, 0, 1]


def test_a_get_behind_a_put_sees_what_it_has_done(serve: Served) -> None:
    """In one packet, as caput sends them, the get reads a switch's new value, or Busy."""
    with Raw(serve.port) as client:
        switch, start = client.create(P + "AUTORESTART", P + "START")
        for put, get, value in ((1, switch, 1), (0, switch, 0), (1, start, 1)):
            before = client.get(switch, 3)  # is kept, and answered without caproto
            client.socket.sendall(before)
            client.message()
            client.socket.sendall(client.put(get, put, 9) + client.get(get, 3))
            answers = [client.message() for _ in range(1 if get == start else 2)]
            (read,) = [each for each in answers if each[0] == READ_NOTIFY]
            assert read[6][:2] == bytes((0, value))
    serve.asked("start")
    serve.complete("start")


def test_what_is_asked_behind_a_put_sees_that_put_and_no_later_one(serve: Served) -> None:
    """In one packet, a get between two puts reads the first one, and a monitor begins with it."""
    with Raw(serve.port) as client:
        (switch,) = client.create(P + "AUTORESTART")
        monitor = HEADER.pack(EVENT_ADD, 16, 3, 1, switch, 1) + MASK.pack(0, 0, 0, 5, 0)
        puts = [client.put(switch, value, 9) for value in (1, 0)]
        get = client.get(switch, 3)
        client.socket.sendall(puts[0] + get + monitor + puts[1] + get + puts[0] + get)
        came = [client.message() for _ in range(3 + 3 + 3)]
        values = {
            command: [each[6][1] for each in came if each[0] == command]
            for command in (READ_NOTIFY, EVENT_ADD)
        }
        assert values == {READ_NOTIFY: [1, 0, 1], EVENT_ADD: [1, 0, 1]}


# --- readings --------------------------------------------------------------------------------


def test_first_readings(client: Client) -> None:
    """Before anything is published an instance is Stopped, and nothing is in alarm."""
    for record in RECORDS:
        reading = client.read(P + record.name, TIME + client.connect(P + record.name)["type"])
        if not record.live:  # those are refreshed by being read
            assert reading["value"] in (0, "", [0]), record.name
        assert (reading["status"], reading["severity"]) == (0, 0), record.name
        assert reading["timestamp"] > 1_600_000_000, record.name
    assert client.get(P + "STATUS", STRING) == "Stopped"


def test_monitors_are_posted_on_change_only(serve: Served, client: Client) -> None:
    """A value that is published again is not posted again; each change is posted, in order."""
    watched, values = client.monitor(P + "PID"), client.monitor(P + "PID", DBE_VALUE)
    serve.ask("publish_many", pv="PID", values=[17, 17, 18, 18, 0])
    assert watched.wait_for_events(4)
    serve.publish("PID", 19)
    assert watched.wait_for(19) == values.wait_for(19) == [0, 17, 18, 0, 19]


def test_events_off_and_on(serve: Served) -> None:
    """A client that switched its events off gets only the newest when it switches them on."""
    with RawClient(serve.port) as client:
        channel = client.open(P + "PID")
        client.send(channel.subscribe())
        client.receive(ca.EventAddResponse)
        client.send(ca.EventsOffRequest(), channel.read())
        client.receive(ca.ReadNotifyResponse)
        serve.ask("publish_many", pv="PID", values=[1, 2, 3])
        client.send(ca.EventsOnRequest())
        assert client.receive(ca.EventAddResponse).data.tolist() == [3]
        serve.publish("PID", 4)
        assert client.receive(ca.EventAddResponse).data.tolist() == [4]


def test_watched_is_true_while_a_monitor_lives(serve: Served, client: Client) -> None:
    """The instance can ask whether anybody watches, until the last client stops."""
    assert not serve.ask("watched", pvs=["CPU", "MEMORY"])
    watched = client.monitor(P + "CPU")
    watched.wait_for_events(1)
    assert serve.ask("watched", pvs=["CPU", "MEMORY"])
    with RawClient(serve.port) as other:
        other.send(other.open(P + "CPU").subscribe())
        other.receive(ca.EventAddResponse)
        watched.cancel()
        client.get(P + "PID")  # on the same connection: the server has seen the end of the monitor
        assert serve.ask("watched", pvs=["CPU", "MEMORY"])
    while serve.ask("watched", pvs=["CPU", "MEMORY"]):
        assert serve.process.poll() is None


def test_live_readings_are_fresh_when_read(serve: Served, client: Client) -> None:
    """A get of UPTIME, CPU and the like asks the instance first; the events of a monitor do not."""
    assert [client.get(P + "UPTIME") for _ in range(3)] == [1, 2, 3]
    watched = client.monitor(P + "UPTIME")
    assert watched.wait_for(4) == [4]
    serve.publish("UPTIME", 100.0)
    assert watched.wait_for(100) == [4, 100]
    assert serve.ask("refreshed") == {"UPTIME": 4}


async def test_a_get_waits_for_a_look_and_nobody_for_the_get() -> None:
    """The first get of a slow live reading is current; other gets are answered before it."""
    changed = live("TE:CHANGED", Record("CHANGED", "bi", "x", choices=NO_YES, live=True))
    other = live("TE:OTHER", Record("OTHER", "longin", "x"))
    looks: list[asyncio.Future[None]] = []

    def look() -> asyncio.Future[None]:
        looks.append(asyncio.get_running_loop().create_future())
        return looks[-1]

    changed.refresh = look
    port = free_port()
    async with CaServer({each.name: each for each in (changed, other)}, ["127.0.0.1"], port):
        with await asyncio.to_thread(Raw, port) as client:
            sids = await asyncio.to_thread(client.create, changed.name, other.name)
            gets = [client.get(sids[0], 3), client.get(sids[1], 5, ioid=8)]
            client.socket.sendall(b"".join(gets))
            assert (await asyncio.to_thread(client.message))[2] == 5
            changed.post(1)
            looks[0].set_result(None)
            assert (await asyncio.to_thread(client.message))[6][:2] == b"\0\1"
            client.subscribe(sids[0], 3)
            client.socket.sendall(gets[1])
            assert (await asyncio.to_thread(client.message))[2] == 5
            changed.post(0)  # told at once, and not again when the look is done
            assert (await asyncio.to_thread(client.message))[6][:2] == b"\0\0"
            looks[1].set_result(None)
            client.socket.sendall(gets[1])
            assert (await asyncio.to_thread(client.message))[2] == 5


def test_numbers_and_choices_read_as_texts(serve: Served, client: Client) -> None:
    """Numbers have their record's precision, and whole numbers are exact, however large."""
    serve.publish("CPU", 12.345)
    serve.publish("LOG:COUNT", 2**40)
    serve.publish("EXITCODE", -9)
    serve.publish("STATUS", State.BACKOFF, Severity.MINOR)
    names = ("PROGRESS", "LOG:COUNT", "EXITCODE", "STATUS")
    assert [client.get(P + name, STRING) for name in names] == [
        "0.0", "1099511627776", "-9", "Backoff",
    ]  # fmt: skip
    assert client.get(P + "LOG:COUNT") == 2**40


def test_a_text_is_no_number(serve: Served, client: Client) -> None:
    """A text that is read as a number fails as in base, unless it is a number."""
    serve.publish("EXITREASON", "exit 3")
    assert client.raw(P + "EXITREASON", DOUBLE, 1, 8)["status"] == ECA_GETFAIL
    serve.publish("EXITREASON", "3")
    assert client.get(P + "EXITREASON", DOUBLE) == 3.0


def test_special_types(serve: Served, client: Client) -> None:
    """The record type and the alarm acknowledgement read as in base."""
    assert client.raw(P + "STATUS", CLASS_NAME, 1, 40)["data"].rstrip(b"\0") == b"mbbi"
    serve.publish("STATUS", State.FAILED, Severity.MAJOR)
    answer = client.raw(P + "STATUS", STSACK_STRING, 1, 14)["data"]
    assert answer == b"\x07\0\x02\0\x01\0\0\0Failed"


def test_names(client: Client) -> None:
    """A record has its name, the name with .VAL, and the name with a trailing dot; no others."""
    for name in ("STATUS", "STATUS.VAL", "STATUS."):
        assert client.get(P + name, STRING) == "Stopped"
    with pytest.raises(RuntimeError, match="not found"):
        client.connect(P + "STATUS.NOFIELD", timeout=0.3)


def test_fields_follow_their_record(serve: Served, client: Client) -> None:
    """Monitors of SEVR and NORD see the changes of the record."""
    severity, length = client.monitor(P + "LOG.SEVR"), client.monitor(P + "LOG.NORD")
    serve.publish("LOG", "12345", Severity.MINOR)
    assert severity.wait_for(Severity.MINOR) == [0, 1]
    assert length.wait_for(6) == [1, 6]


# --- procServControl's names ---------------------------------------------------------------------


def test_procserv_pvs(start_ioc: Callable[..., Served]) -> None:
    """Screens made for procServControl read and command the instance by its names."""
    ioc = start_ioc(procserv_pvs=True)
    p = "TE:CS:PS:BGRSCRPT_01:"
    with Client(ioc.port) as client:
        assert client.get(p + "IOCNAME") == client.get(p + "PORT") == "BGRSCRPT_01"
        assert client.get(p + "IOCDESC") == "background script BGRSCRPT_01"
        assert client.get(p + "SHOWOUT", STRING) == "Yes"
        assert client.get(p + "CONPORT") == client.get(p + "LOGPORT") == 0
        assert client.get(p + "STATUS.SEVR", STRING) == "MAJOR"
        status = client.monitor(p + "STATUS")
        assert client.get(p + "STATUS", STRING) == "Shutdown"
        pending = client.begin_put(p + "START")
        ioc.asked("start")
        assert client.get(p + "START", STRING) == "Busy"
        assert client.get(P + "START", STRING) == "Done"
        ioc.publish("STATUS", State.STARTING)
        ioc.publish("STATUS", State.RUNNING)
        ioc.complete("start")
        assert client.answer(pending) == ECA_NORMAL
        assert status.wait_for(0) == [1, 0]
        for on in (True, False):
            assert client.put_callback(p + "TOGGLE") == ECA_NORMAL
            assert ioc.wait_for_message("asked", "autorestart")["on"] is on
            assert client.get(p + "AUTORESTART", STRING) == ("On" if on else "Off")
        ioc.publish("LOG", "\n".join(f"{number:04}" for number in range(2000)))
        # 1024 lines of 5 bytes are the 5120 bytes of IOCOUT; a NUL replaces the last newline.
        assert client.text(p + "IOCOUT") == "\n".join(f"{n:04}" for n in range(2000 - 1024, 2000))


# --- the server ----------------------------------------------------------------------------------


def test_a_name_server_answers_by_tcp(start_client: Callable[..., Client]) -> None:
    """Clients that no datagram reaches, such as behind tunnels, find the records over TCP."""
    client = start_client(EPICS_CA_ADDR_LIST="", EPICS_CA_NAME_SERVERS="127.0.0.1")
    assert client.get(P + "STATUS") == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 4096,
        b"\xff" * 4096,
        bytes(ca.VersionRequest(0, 13)) + bytes(ca.ReadNotifyRequest(0, 1, 99, 1)),
        bytes(ca.VersionRequest(0, 13)) + bytes(ca.ClearChannelRequest(7, 7)),
        bytes(ca.VersionRequest(0, 13)) + bytes(ca.EventsOnRequest())[:8],
        b"\0\x13\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\1" + b"x" * (1 << 21),
    ],
    ids=["HTTP", "zeros", "ones", "no channel", "nothing to clear", "half", "4 GB"],
)
def test_garbage_ends_at_most_its_own_connection(
    serve: Served, client: Client, garbage: bytes
) -> None:
    """Bytes that are no Channel Access, by TCP or UDP, do no harm to other clients."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.sendto(garbage[:4096], ("127.0.0.1", serve.port))
        tcp.connect(("127.0.0.1", serve.port))
        try:
            tcp.sendall(garbage)
        except OSError:
            assert len(garbage) > 1 << 20  # refused before its end
    assert client.get(P + "STATUS") == 0
    assert "Traceback" not in serve.log.read_text()


RUDE = (
    "no such type",
    "no such monitor",
    "no such channel",
    "no command",
)


def rude_requests(client: RawClient) -> dict[str, bytes]:
    """Return requests that no client should send, by what is wrong.

    `client` has a channel and monitor.
    """
    (channel,) = client.channels.values()
    sid, cid = channel.sid or 0, channel.cid
    return {
        "no such type": struct.pack(">HHHHII", 15, 0, 99, 1, sid, 1),
        "no such monitor": bytes(ca.EventCancelRequest(3, sid, 99)),
        "no such channel": bytes(ca.ClearChannelRequest(sid + 1, cid)),
        "no command": struct.pack(">HHHHII", 99, 0, 0, 0, 0, 0),
    }


@pytest.mark.parametrize("wrong", RUDE)
def test_rude_requests_end_the_connection(serve: Served, wrong: str) -> None:
    """A request that no client should send ends its connection, and nothing else."""
    with RawClient(serve.port) as client:
        channel = client.open(P + "STATUS")
        client.send(channel.subscribe(subscriptionid=0))
        client.receive(ca.EventAddResponse)
        client.socket.sendall(rude_requests(client)[wrong])
        assert client.ended()
    with RawClient(serve.port) as another:
        assert another.open(P + "STATUS").sid is not None
    assert "Traceback" not in serve.log.read_text()


def test_two_puts_with_one_identity_are_both_answered(serve: Served) -> None:
    """As in base, a client may give two puts one number."""
    with Raw(serve.port) as client:
        (sid,) = client.create(P + "START")
        client.socket.sendall(client.put(sid, 1, 5) * 2)
        serve.asked("start")
        serve.asked("start")
        serve.complete("start")
        serve.complete("start")
        for _ in range(2):
            assert client.message()[5] == 5


@pytest.mark.parametrize(
    ("kind", "count", "data"),
    [
        (ca.ChannelType.PUT_ACKS, 1, b"\0\1"),
        (ca.ChannelType.DOUBLE, 1, b"\0\1\2"),
        (ca.ChannelType.ENUM, 0, b""),
    ],
    ids=["an acknowledgement", "too few bytes", "nothing"],
)
def test_puts_of_nonsense_fail(
    serve: Served, kind: ca.ChannelType, count: int, data: bytes
) -> None:
    """A put without a value is refused, and the connection stays."""
    with RawClient(serve.port) as client:
        channel = client.open(P + "START")
        client.circuit.send(ca.WriteNotifyRequest(data, kind, count, channel.sid, 9))  # padded
        header = struct.pack(">HHHHII", 19, len(data), kind, count, channel.sid or 0, 9)
        client.socket.sendall(header + data)
        answer = client.receive(ca.WriteNotifyResponse)
        assert answer.status.code_with_severity == ECA_PUTFAIL
        client.send(channel.read())
        assert client.receive(ca.ReadNotifyResponse).data.tolist() == [0]


def test_small_talk(serve: Served) -> None:
    """Echoes and searches are answered, also in the negative if asked.

    Unknown channels are refused.
    """
    with RawClient(serve.port) as client:
        client.send(ca.EchoRequest())
        client.receive(ca.EchoResponse)
        client.send(ca.SearchRequest(P + "STATUS", 1, 13), ca.SearchRequest("TE:NO", 2, 13, 10))
        assert client.receive(ca.SearchResponse).cid == 1
        assert client.receive(ca.NotFoundResponse).cid == 2
        client.send(ca.ClientChannel(P + "NO", client.circuit).create())
        client.receive(ca.CreateChFailResponse)


def test_the_end_does_not_wait_for_a_stalled_client(serve: Served) -> None:
    """A server that ends gives its clients one second to take what was sent."""
    with RawClient(serve.port, buffer=4096) as stalled:
        stalled.send(stalled.open(P + "LOG").subscribe())
        serve.ask("publish_many", pv="LOG", values=[f"{n} {'x' * 15_000}" for n in range(300)])
        assert serve.end(signal.SIGTERM) == 0
    assert {"left": 0} in serve.said


@pytest.mark.parametrize(
    ("interface", "why"),
    [("203.0.113.7", "is it this host's?"), ("a..b", "is not known")],
)
async def test_interfaces_that_cannot_be_served_are_named(interface: str, why: str) -> None:
    """A wrong interface is an error that names it."""
    with pytest.raises(OSError, match=re.escape(interface)) as refused:
        await CaServer({}, [interface], free_port()).start()
    assert why in str(refused.value)
    assert not isinstance(refused.value, PortInUseError)
