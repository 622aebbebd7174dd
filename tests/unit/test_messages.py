"""Messages of the script's interpreter: the right ones get through, the wrong ones are named."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc import messages as msg


def frames(payload: bytes, pid: int = 1, size: int = 4000) -> list[bytes]:
    """The sender's side, as `child/bgrscrpt.py` does it."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    marks = [b"+"] * (len(parts) - 1) + [b"="]
    return [b"%d%b%b\n" % (pid, mark, part) for mark, part in zip(marks, parts, strict=True)]


def encoded(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_each_kind_is_read() -> None:
    """A message of each kind comes out as its own type, with its fields."""
    reader = msg.MessageReader()
    wire = [
        encoded(kind="began", pid=5, sha256="ab", python="3.11.7", executable="/usr/bin/python3"),
        encoded(kind="failed", error="ValueError: x (s.py:1)", traceback="Traceback ..."),
        encoded(
            kind="register", pid=5, exe_path="/s.py", ioc_name="BGRSCRPT_01", prefix=None,
            pv_database={"A": {"type": "float"}},
        ),
        encoded(kind="register", pid=5, exe_path="/s.py", ioc_name="X", prefix="P:"),
        encoded(kind="alive", count=3),
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
    reader = msg.MessageReader()
    read = [m for a, b in pairwise(bounds) for m in reader.feed(stream[a:b])]
    sent = [text.encode("utf-8", "replace").decode() for _, text in texts]
    assert sorted(m.text for m in read if isinstance(m, msg.Said)) == sorted(sent)
    assert len(read) == len(sent)


@given(st.binary(max_size=3000), st.booleans())
def test_garbage_never_raises_and_never_hides_what_follows(garbage: bytes, ended: bool) -> None:
    """After any bytes and a newline the next good message is read."""
    reader = msg.MessageReader()
    read = list(reader.feed(garbage + b"\n" * ended + b"\n"))
    assert all(isinstance(m, msg.Refused) for m in read)
    (good,) = reader.feed(b"99999=" + encoded(kind="alive", count=1) + b"\n")
    assert good == msg.Alive(1)


def test_endless_frame_is_refused_once_and_not_kept() -> None:
    """A megabyte without newline is one refusal and no memory; the next frame is read."""
    reader = msg.MessageReader()
    read = [m for _ in range(1000) for m in reader.feed(b"x" * 1000)]
    assert read == [msg.Refused("a frame without an end")]
    assert list(reader.feed(b"x\n1=" + encoded(kind="alive", count=1) + b"\n")) == [msg.Alive(1)]


def test_frame_of_more_than_a_pipe_writes_whole_is_refused() -> None:
    """A frame too long to be atomic is refused even when it comes with its newline."""
    (refused,) = msg.MessageReader().feed(b"1=" + b"x" * msg.MAX_FRAME + b"\n")
    assert isinstance(refused, msg.Refused)


def test_message_too_long_is_refused() -> None:
    """More parts than MAX_MESSAGE bytes are dropped, not collected."""
    reader = msg.MessageReader()
    part = b"1+" + b"x" * 4000 + b"\n"
    refused = [m for _ in range(msg.MAX_MESSAGE // 4000 + 1) for m in reader.feed(part)]
    assert refused == [msg.Refused("a message too long, or too many at once")]


def test_too_many_unfinished_messages_are_refused() -> None:
    """A sender more than MAX_UNFINISHED that starts a message and leaves it is turned away."""
    reader = msg.MessageReader()
    read = [m for pid in range(msg.MAX_UNFINISHED + 1) for m in reader.feed(b"%d+x\n" % pid)]
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
    """What is wrong with a message is said in words for the log."""
    refused = msg.parse(payload)
    assert isinstance(refused, msg.Refused)
    assert why in refused.why
