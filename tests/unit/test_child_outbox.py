"""The outbox of a script's PVs sends values at a limited rate: child/_bgrscrpt_outbox.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from threading import RLock, get_ident
from types import SimpleNamespace
from typing import Any

import pytest

from bgrscrpt_ioc.child import bgrscrpt

outbox_module: Any = bgrscrpt._ours("_bgrscrpt_outbox")
pace_module: Any = bgrscrpt._ours("_bgrscrpt_pace")


class Home:
    """The module `bgrscrpt` with a channel that takes what there is room for."""

    _MOMENT, _PATIENCE = 0.05, 1.0
    _json = staticmethod(bgrscrpt._json)

    def __init__(self) -> None:
        self._channel = SimpleNamespace(script_pid=os.getpid(), is_open=lambda: True)
        self.sent: list[tuple[float, bytes | str]] = []
        self.now, self.has_room = 100.0, True

    def _send(self, payload: bytes | str, _patience: float, _mark: bytes) -> bool:
        if self.has_room:
            self.sent.append((self.now, payload))
        return self.has_room

    def values(self, name: str) -> list[tuple[float, int]]:
        """Return the values of a PV that were sent, each with its time."""
        begin = name.encode() + b"="
        pairs = [(at, each) for at, each in self.sent if isinstance(each, bytes)]
        return [(at, int(each[len(begin) :])) for at, each in pairs if each.startswith(begin)]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home()
    monkeypatch.setattr(outbox_module, "monotonic", lambda: home.now)
    return home


@pytest.fixture
def let_thread_run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Returns a function that lets the thread of an outbox run to its end; it does not before.

    Time is simulated, and no thread keeps to that.
    """
    started: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
    monkeypatch.setattr(pace_module, "start_new_thread", lambda *call: started.append(call))

    def run(outbox: Any) -> None:
        outbox.hurry.release()
        for function, arguments in started:
            function(*arguments)

    return run


def test_a_flood_is_sent_at_a_steady_pace(
    home: Home, let_thread_run: Callable[[Any], None]
) -> None:
    """A PV that is set without pause sends a burst, then a value each 10 ms, and the last one."""
    outbox: Any = outbox_module.Outbox(home)
    for at in range(100_000):
        outbox.post_value("A", b"A=%d" % at)
        home.now += 0.0001
    begun = [at for at, _ in home.values("A")]
    gaps = [after - before for before, after in pairwise(begun[300:])]
    assert 1190 <= len(begun) <= 1210, "200 at once, and 100 a second in 10 s"
    assert max(gaps) < 0.0102, "the script's own thread sends while the other one does not"
    let_thread_run(outbox)
    assert home.values("A")[-1][1] == 99_999
    told = [each for _, each in home.sent if isinstance(each, str)]
    assert [("PV A is set faster" in each, '"is_error":false' in each) for each in told] == [
        (True, True)
    ]


def test_a_long_array_is_sent_less_often(home: Home, let_thread_run: Callable[[Any], None]) -> None:
    """A long array is sent less often: at most 16 MB a second."""
    outbox: Any = outbox_module.Outbox(home)
    long = b"0" * 800_000
    for at in range(10_000):
        outbox.post_value("A", b"A=%s%d" % (long, at))
        home.now += 0.001
    let_thread_run(outbox)
    assert 190 <= len(home.sent) <= 240, "16.7 a second in 10 s, and 34 at once"


def test_what_finds_no_room_comes_in_its_order(
    home: Home, let_thread_run: Callable[[Any], None]
) -> None:
    """After a full channel, the newest value of each PV is sent, in order."""
    outbox: Any = outbox_module.Outbox(home)
    home.has_room = False
    outbox.post(("pv", "A"), "made")
    for at in range(50):
        outbox.post_value("A", b"A=%d" % at)
        outbox.post_value("B", b"B=%d" % at)
    outbox.post(("put", 1), "ended")
    home.has_room = True
    let_thread_run(outbox)
    assert [each for _, each in home.sent] == ["made", b"A=49", b"B=49", "ended"]


@pytest.mark.parametrize("interrupted", ["alive", "_send", "post", "post_value"])
def test_an_interrupt_leaves_no_lock_taken(
    interrupted: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A KeyboardInterrupt that comes when a lock has just been taken does not keep the lock.

    Otherwise nothing more would be sent, and the script's end would wait for it for a second.
    """
    locks: list[Any] = []

    class Interrupted:
        """A lock that Python has taken when ^C comes."""

        def __init__(self) -> None:
            self.real: Any = RLock()
            self._is_owned, self.release = self.real._is_owned, self.real.release
            locks.append(self)

        def acquire(self, *, timeout: float) -> bool:
            self.real.acquire(timeout=timeout)
            raise KeyboardInterrupt

    outbox = outbox_module.Outbox(home)
    pace = pace_module.Pace(lambda _: True, 1.0)
    channel = SimpleNamespace(script_pid=os.getpid(), cut_short=False)
    outbox.lock, pace.lock = Interrupted(), Interrupted()
    for name, value in ("_lock", Interrupted()), ("_pace", pace), ("_channel", channel):
        monkeypatch.setattr(bgrscrpt, name, value)
    calls: dict[str, Callable[[], object]] = {
        "alive": bgrscrpt.alive,
        "_send": lambda: bgrscrpt._send("x"),
        "post": lambda: outbox.post("key", "x"),
        "post_value": lambda: outbox.post_value("X", b"X=1"),
    }
    with pytest.raises(KeyboardInterrupt):
        calls[interrupted]()
    assert [each._is_owned() for each in locks] == [False] * 3


def test_a_signal_handler_loses_its_message_and_no_other(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that comes amid a message neither waits for it, nor divides it."""
    outbox, lock = outbox_module.Outbox(home), RLock()
    monkeypatch.setattr(bgrscrpt, "_lock", lock)
    monkeypatch.setattr(bgrscrpt, "_channel", SimpleNamespace(script_pid=os.getpid()))
    monkeypatch.setattr(bgrscrpt, "_inside", get_ident())
    outbox.inside = get_ident()
    with lock, outbox.lock:
        assert not bgrscrpt._send("x")
        outbox.post_value("X", b"X=1")
        assert outbox.lock._is_owned()
    assert home.values("X") == [(100.0, 1)]
    assert not outbox.lock._is_owned()


def test_a_lock_that_an_interrupt_has_left_taken_is_used(home: Home) -> None:
    """The thread that has it sends on; at the latest its end gives it back."""
    outbox = outbox_module.Outbox(home)
    outbox.lock.acquire()  # and a KeyboardInterrupt came before it was given back
    outbox.post_value("X", b"X=1")
    assert home.values("X") == [(100.0, 1)]
    assert not outbox.lock._is_owned()
    outbox.lock.acquire()
    outbox.settle()
    assert not outbox.lock._is_owned()
