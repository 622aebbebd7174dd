"""Messages of the script's interpreter: good ones are read, wrong ones are reported."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.process import frames as frames_of
from bgrscrpt_ioc.process import messages as msg
from bgrscrpt_ioc.process.parsing import parse, parse_value


def frames(payload: bytes, pid: int = 1, size: int = 4000) -> list[bytes]:
    """Return a message as frames, as `child/bgrscrpt.py` writes them."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    marks = [b"+"] * (len(parts) - 1) + [b"="]
    return [b"%d%b%b\n" % (pid, mark, part) for mark, part in zip(marks, parts, strict=True)]


def encoded(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_each_kind_is_read() -> None:
    """A message of each kind comes out as its own type, with its fields."""
    reader = frames_of.MessageReader()
    wire = [
        encoded(kind="began", pid=5, sha256="ab", python="3.11.7", executable="/usr/bin/python3"),
        encoded(kind="failed", error="ValueError: x (s.py:1)", traceback="Traceback ..."),
        encoded(
            kind="register", pid=5, exe_path="/s.py", ioc_name="BGRSCRPT_01", prefix=None,
            pv_database={"A": {"type": "float"}},
        ),
        encoded(kind="register", pid=5, exe_path="/s.py", ioc_name="X", prefix="P:"),
        encoded(kind="alive", count=3),
        encoded(kind="died", who="thread A", error="KeyError: 1", traceback="Tr\nace", more=2),
        encoded(kind="message", text="Žluť"),
        encoded(kind="progress", percent=12),
    ]  # fmt: skip
    read = [m for payload in wire for f in frames(payload) for m in reader.feed(f)]
    assert read == [
        msg.ScriptBegan(5, "ab", "3.11.7", "/usr/bin/python3"),
        msg.ScriptFailed("ValueError: x (s.py:1)", "Traceback ..."),
        msg.Registered(5, "/s.py", "BGRSCRPT_01", None, {"A": {"type": "float"}}),
        msg.Registered(5, "/s.py", "X", "P:", {}),
        msg.Alive(3),
        msg.ThreadDied("thread A", "KeyError: 1", "Tr\nace", 2),
        msg.Said("Žluť"),
        msg.Progressed(12.0),
    ]


@given(
    texts=st.lists(st.tuples(st.integers(1, 3), st.text(max_size=9000)), max_size=8),
    cuts=st.lists(st.integers(1, 5000)),
    interleave=st.randoms(),
)
def test_any_chunking_and_interleaving(
    texts: list[tuple[int, str]], cuts: list[int], interleave: Any
) -> None:
    """However the pipe cuts it and the senders mix their frames, each sender's messages arrive."""
    queues: dict[int, list[bytes]] = {}
    for pid, text in texts:
        queues.setdefault(pid, []).extend(frames(encoded(kind="message", text=text), pid))
    stream = b""
    while queues:
        pid = interleave.choice(sorted(queues))
        stream += queues[pid].pop(0)
        if not queues[pid]:
            del queues[pid]
    bounds = sorted({0, len(stream), *(c for c in cuts if c < len(stream))})
    reader = frames_of.MessageReader()
    read = [m for a, b in pairwise(bounds) for m in reader.feed(stream[a:b])]
    sent = [visible(text) for _, text in texts]
    assert sorted(m.text for m in read if isinstance(m, msg.Said)) == sorted(sent)
    assert len(read) == len(sent)


@given(st.binary(max_size=3000), st.booleans())
def test_garbage_never_raises_and_never_hides_what_follows(garbage: bytes, ended: bool) -> None:
    """After any bytes and a newline the next good message is read."""
    reader = frames_of.MessageReader()
    read = list(reader.feed(garbage + b"\n" * ended + b"\n"))
    assert all(isinstance(m, msg.Refused) for m in read)
    (good,) = reader.feed(b"99999=" + encoded(kind="alive", count=1) + b"\n")
    assert good == msg.Alive(1)


def test_endless_frame_is_refused_once_and_not_kept() -> None:
    """A megabyte without a newline is refused once and not kept; the next frame is read."""
    reader = frames_of.MessageReader()
    read = [m for _ in range(1000) for m in reader.feed(b"x" * 1000)]
    assert read == [msg.Refused("a frame without an end")]
    assert list(reader.feed(b"x\n1=" + encoded(kind="alive", count=1) + b"\n")) == [msg.Alive(1)]


def test_frame_of_more_than_a_pipe_writes_whole_is_refused() -> None:
    """A frame too long to be atomic is refused even when it comes with its newline."""
    (refused,) = frames_of.MessageReader().feed(b"1=" + b"x" * frames_of.MAX_FRAME + b"\n")
    assert isinstance(refused, msg.Refused)


def test_message_too_long_is_refused() -> None:
    """A message of too many bytes or too many parts is dropped and not collected."""
    reader = frames_of.MessageReader()
    for part, count in (
        (b"x" * 4000, frames_of.MAX_MESSAGE // 4000 + 1),
        (b"x", frames_of.MAX_PARTS + 1),
    ):
        refused = [m for _ in range(count) for m in reader.feed(b"1+" + part + b"\n")]
        assert refused == [msg.Refused("a message of more than 256 KiB, or in too many parts")]
        assert reader._size == 0
        assert list(reader.feed(b"1=the last part\n")) == []
        assert reader._unfinished == {}


def test_unfinished_messages_of_all_senders_are_bounded() -> None:
    """If many senders leave messages unfinished, the oldest are dropped."""
    reader = frames_of.MessageReader()
    for sender in range(8):
        for _ in range(300):
            list(reader.feed(b"%d+" % sender + b"X" * 4000 + b"\n"))
    assert reader._size <= 2 * frames_of.MAX_VALUE
    assert b"0" not in reader._unfinished
    assert reader._size == sum(each.size for each in reader._unfinished.values())


def test_the_middle_of_what_is_too_much_is_dropped() -> None:
    """When no more will come, the first and the last of many thousand frames are looked at."""
    reader = frames_of.MessageReader()
    first, last = (b"2=" + encoded(kind="message", text=text) + b"\n" for text in "ab")
    reader.take(b"rest of a frame that is no message\n" + first + b"1+\n" * 30_000 + last + b"3=")
    reader.shorten()
    assert reader._rest.count(b"\n") <= frames_of.LAST
    read = list(reader.read_all())
    assert [each for each in read if isinstance(each, msg.Said)] == [msg.Said("a"), msg.Said("b")]
    assert len(read) < 6
    assert "30003 frames in a row: too many for messages" in str(read)
    assert list(reader.feed(encoded(kind="message", text="c") + b"\n")) == [msg.Said("c")]


def test_of_what_comes_at_once_the_newest_counts() -> None:
    """Of heartbeats, texts and percents in one chunk, the newest is read; of others, all are."""
    reader = frames_of.MessageReader()
    said = b"".join(
        b'7={"kind":"alive","count":%d}\n7={"kind":"progress","percent":%d}\n' % (n, n)
        for n in range(1, 14)
    )
    register = b'7={"kind":"register","pid":1,"exe_path":"","ioc_name":"X"}\n'
    read = list(reader.feed(said + register + said + b'8={"kind":"alive","count":3}\n'))
    named = msg.Registered(1, "", "X", None, {})
    assert read == [named, msg.Alive(13), msg.Progressed(13.0), msg.Alive(3)]
    assert [each.calls for each in read if isinstance(each, msg.Alive)] == [26, 1]


def test_texts_of_a_script_are_text() -> None:
    """Control characters in texts are escaped; a traceback keeps its lines and tabs."""
    text = "\x1b]0;owned\x07\x1b[2J\n\ta\x9b\u202eb\x00"
    seen = "\\x1b]0;owned\\x07\\x1b[2J\\n\\ta\\x9b\\u202eb\\x00"
    assert parse(encoded(kind="message", text=text)) == msg.Said(seen)
    failed = parse(encoded(kind="failed", error=text, traceback=text))
    assert failed == msg.ScriptFailed(seen, seen.replace("\\n\\t", "\n\t"))
    named = parse(encoded(kind="register", pid=1, exe_path="a\n--- b", ioc_name="X\r"))
    assert named == msg.Registered(1, "a\\n--- b", "X\\r", None, {})


def test_too_many_unfinished_messages_are_refused() -> None:
    """If more than MAX_UNFINISHED senders leave a message unfinished, the next is refused."""
    reader = frames_of.MessageReader()
    read = [m for pid in range(frames_of.MAX_UNFINISHED + 1) for m in reader.feed(b"%d+x\n" % pid)]
    assert len(read) == 1


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "unknown kind"),
        (encoded(kind="reboot"), "unknown kind of message: 'reboot'"),
        (encoded(kind=["x"]), "unknown kind"),
        (encoded(kind="alive"), "alive: count: a whole number expected"),
        (encoded(kind="alive", count=True), "alive: count"),
        (encoded(kind="alive", count=-1), "alive: count"),
        (encoded(kind="message", text=3), "message: text: text expected"),
        (encoded(kind="progress", percent=101), "progress: percent: a number from 0 to 100"),
        (encoded(kind="progress", percent=float("nan")), "progress: percent"),
        (encoded(kind="progress", percent="5"), "progress: percent"),
        (
            encoded(kind="register", pid=1, exe_path="", ioc_name="X", pv_database={"A": 1}),
            "register: pv_database: a dict of dicts expected",
        ),
    ],
)
def test_wrong_messages_are_named(payload: bytes, why: str) -> None:
    """The log says in words what is wrong with a message."""
    refused = parse(payload)
    assert isinstance(refused, msg.Refused)
    assert why in refused.why


def value(name: bytes, data: bytes, pid: int = 1) -> list[bytes]:
    """Return the frames of a PV's value, as the script's side sends them."""
    payload = name + b"=" + data.replace(b"\x1b", b"\x1b1").replace(b"\n", b"\x1b0")
    sent = frames(payload, pid)
    return [*sent[:-1], b"%d!" % pid + sent[-1].partition(b"=")[2]]


@given(st.binary(max_size=9000), st.sampled_from([None, 0, 1, 2, 3]))
def test_values_of_pvs(data: bytes, severity: int | None) -> None:
    """A value arrives unchanged, whatever bytes it has."""
    name = b"A:B" if severity is None else b"A:B/%d" % severity
    sent = frames(name + b"=" + data.replace(b"\x1b", b"\x1b1").replace(b"\n", b"\x1b0"))
    sent[-1] = sent[-1].replace(b"=", b"!", 1)
    read = list(frames_of.MessageReader().feed(b"".join(sent)))
    assert read == [msg.PvSet("A:B", severity, data)]


def test_a_value_may_be_as_long_as_an_array() -> None:
    """A value of 100,000 numbers is taken, with all of its bytes escaped; a longer one is not."""
    reader = frames_of.MessageReader()
    data = b"\n" * 800_000
    assert list(reader.feed(b"".join(value(b"A", data)))) == [msg.PvSet("A", None, data)]
    (refused, *_) = reader.feed(b"".join(value(b"A", b"\n" * 1_100_000)))
    assert isinstance(refused, msg.Refused)


def test_of_values_that_wait_the_newest_counts() -> None:
    """While there is time, all values are read; of values that wait, the newest of each PV."""
    reader = frames_of.MessageReader()
    sent = [b"1!A=%d\n1!B/2=%d\n" % (n, n) for n in range(50)]
    reader.take(b"".join(sent[:25]))
    first = next(iter(reader.read()))
    assert first == msg.PvSet("A", None, b"0")
    long = b"".join(value(b"C", b"x" * 5000, pid=2))
    reader.take(long + b"".join(sent[25:]) + b'1={"kind":"alive","count":7}\n')
    read: list[msg.Message] = []
    while reader.waits:
        reader.skim()
        read += reader.read()
    rest = [
        msg.PvSet("A", None, b"24"),
        msg.PvSet("B", 2, b"24"),
        msg.PvSet("C", None, b"x" * 5000),
        msg.PvSet("A", None, b"49"),
        msg.PvSet("B", 2, b"49"),
        msg.Alive(7),
    ]
    assert read == rest


def test_of_few_values_that_wait_each_counts() -> None:
    """A script that sets a PV a few times is heard in full, however slow the IOC is."""
    reader = frames_of.MessageReader()
    reader.take(b"".join(b"1!A=%d\n" % n for n in range(frames_of.FEW)))
    assert reader.skim() == 0
    assert list(reader.read_all()) == [
        msg.PvSet("A", None, b"%d" % n) for n in range(frames_of.FEW)
    ]
    reader.take(b"".join(b"1!A=%d\n" % n for n in range(frames_of.FEW + 1)))
    assert reader.skim() == frames_of.FEW


@pytest.mark.parametrize("payload", [b"", b"A", b"A/9=1", b"\xff=1", b"A/=1"])
def test_values_of_no_pv(payload: bytes) -> None:
    """A frame that is not a value is refused."""
    assert isinstance(parse_value(payload), msg.Refused)
