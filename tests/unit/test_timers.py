"""Timeouts count the time in which the IOC runs. A clock of the test's own shows each case."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.lifecycle.events import Clock
from bgrscrpt_ioc.script.timers import BEAT, PARDON, Timer, Timers, next_beat


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes when the test says so, and whose timers then come late."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__()

    def time(self) -> float:
        return self.now

    def run_for(self, seconds: float) -> None:
        """Let the IOC run: each timer is called when it is due."""
        end = self.now + seconds
        while (due := self.due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.turn()
        self.now = end
        self.turn()

    def pause(self, seconds: float) -> None:
        """Let time pass in which the IOC does not run."""
        self.now += seconds

    def due(self) -> float | None:
        waiting = [each.when() for each in self._scheduled if not each.cancelled()]  # pyright: ignore
        return min(waiting, default=None)

    def turn(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()


@pytest.fixture
def loop() -> Iterator[Loop]:
    """The loop, as the running one."""
    loop = Loop()
    yield loop
    loop.close()


def started(loop: Loop, delay: float) -> tuple[Timer, list[float]]:
    """Start a timer on this loop; return it, with the times of its calls."""
    called: list[float] = []
    made: list[Timer] = []

    def make() -> None:
        made.append(Timer(delay, lambda: called.append(loop.now)))

    loop.call_soon(make)
    loop.turn()
    return made[0], called


@given(delay=st.floats(0.01, 1000))
def test_without_a_pause_it_is_a_timeout_like_any(delay: float) -> None:
    """Without a pause it calls after its delay, once."""
    with closing(Loop()) as loop:
        _, called = started(loop, delay)
        loop.run_for(delay * 0.99)
        assert called == []
        loop.run_for(delay * 2)
        assert called == [pytest.approx(delay)]


@given(
    delay=st.floats(0.5, 100),
    pauses=st.lists(st.tuples(st.floats(0, 1), st.floats(6, 1e6)), min_size=1, max_size=5),
)
def test_pauses_do_not_count(delay: float, pauses: list[tuple[float, float]]) -> None:
    """Whenever the IOC is paused, and for how long, it runs for the delay before the call."""
    with closing(Loop()) as loop:
        _, called = started(loop, delay)
        left = delay
        for share, length in pauses:
            left -= delay * share / 6
            loop.run_for(delay * share / 6)
            loop.pause(length)
            loop.turn()  # what came late is called now
            assert called == []
        loop.run_for(left * 0.999)
        assert called == []
        loop.run_for(delay + PARDON)
        assert len(called) == 1


def test_an_ioc_that_is_always_late() -> None:
    """If every slice ends late, the call still comes, after twice the delay."""
    with closing(Loop()) as loop:
        _, called = started(loop, 10)
        for _ in range(1000):
            if called:
                break
            loop.pause(2)
            loop.turn()
        assert called


def test_what_is_left_is_told(loop: Loop) -> None:
    """The time that is left decreases to zero."""
    timer, _ = started(loop, 10)
    loop.run_for(4)
    assert timer.left == pytest.approx(6)
    loop.run_for(0.3)
    assert timer.left == pytest.approx(5.7)


def test_long_ones_wake_the_ioc_together(loop: Loop) -> None:
    """Between two beats no slice of a long timeout ends, however many timeouts there are."""
    for _ in range(5):
        started(loop, 60)
        loop.run_for(1.7)
    moments: set[float] = set()
    while (due := loop.due()) is not None and due < 50:
        moments.add(due)
        loop.run_for(due - loop.now)
    assert all(next_beat(each - BEAT) == pytest.approx(each) for each in moments)
    assert len(moments) > 10


def test_a_cancelled_one_does_not_call(loop: Loop) -> None:
    """A timer that was cancelled in any slice does not call."""
    timer, called = started(loop, 10)
    loop.run_for(7)
    timer.cancel()
    loop.run_for(100)
    assert called == []


def test_one_for_each_clock(loop: Loop) -> None:
    """A clock that is set again starts anew; the others go on."""
    called: list[tuple[str, float]] = []
    timers = Timers()

    def begin(clock: Clock, delay: float) -> None:
        loop.call_soon(
            lambda: timers.set(clock, delay, lambda: called.append((clock.name, loop.now)))
        )
        loop.turn()

    begin(Clock.STOP, 5)
    begin(Clock.HEARTBEAT, 3)
    loop.run_for(2)
    begin(Clock.HEARTBEAT, 3)
    assert timers.left(Clock.HEARTBEAT) == pytest.approx(3)
    loop.run_for(10)
    assert called == [("STOP", 5), ("HEARTBEAT", 5)] or called == [("HEARTBEAT", 5), ("STOP", 5)]
    assert timers.left(Clock.STOP) == 0
