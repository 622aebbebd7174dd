"""Work that may stall is done in order, in bounded memory, and nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from bgrscrpt_ioc.output.writer import OVERHEAD, SMALL, Writer


class Stall:
    """Stands in for a disk that hangs: a job that takes until it is released."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.released.wait(60)


@pytest.fixture
def stall() -> Iterator[Stall]:
    """What hangs is released at the end, so that no thread is left behind."""
    stall = Stall()
    yield stall
    stall.released.set()


def test_jobs_are_done_in_order() -> None:
    """All that was put before `close` is done, in the order in which it was put."""
    writer = Writer("test")
    done: list[int] = []
    for number in range(100):
        assert writer.put(1, lambda number=number: done.append(number))
    assert writer.close(60)
    assert done == list(range(100))


def test_nothing_is_taken_after_close() -> None:
    """A job that comes too late is refused."""
    writer = Writer("test")
    assert writer.close(60)
    assert not writer.put(1, lambda: None)


def test_what_waits_is_bounded(stall: Stall) -> None:
    """A stalled job lets others wait until their bytes reach the limit, and room comes back."""
    size = SMALL - OVERHEAD
    writer = Writer("test", limit=10 * SMALL)
    assert writer.put(size, stall)
    assert stall.entered.wait(60)
    assert sum(writer.put(size, lambda: None) for _ in range(20)) == 9
    stall.released.set()
    empty = threading.Event()
    while not writer.put(0, empty.set):
        pass
    assert empty.wait(60)
    assert writer.put(5 * SMALL, lambda: None)
    assert writer.close(60)


def test_a_flood_leaves_room_for_small_jobs(stall: Stall) -> None:
    """Where big jobs are refused, small ones still find room."""
    writer = Writer("test", limit=100 * SMALL)
    assert writer.put(0, stall)
    while writer.put(2 * SMALL, lambda: None):
        pass
    assert sum(writer.put(10, lambda: None) for _ in range(10)) == 10
    stall.released.set()
    assert writer.close(60)


def test_a_writer_that_is_behind_says_so(stall: Stall) -> None:
    """With a quarter of its room taken it asks for a pause, until that is worked off."""
    writer = Writer("test", limit=100 * SMALL, stalled=3600)
    assert writer.put(20 * SMALL, stall)
    assert not writer.behind
    assert writer.put(20 * SMALL, lambda: None)
    assert stall.entered.wait(60)
    assert writer.behind
    stall.released.set()
    assert writer.close(60)
    assert not writer.behind


def test_nobody_is_asked_to_wait_for_a_stalled_disk(stall: Stall) -> None:
    """A writer whose job takes too long asks for no pause, however much waits."""
    writer = Writer("test", limit=100 * SMALL, stalled=0)
    assert writer.put(40 * SMALL, stall)
    assert stall.entered.wait(60)
    assert not writer.behind
    stall.released.set()
    assert writer.close(60)


def test_close_does_not_wait_for_what_is_stalled(stall: Stall) -> None:
    """`close` returns after its timeout and says that not all was done."""
    writer = Writer("test")
    assert writer.put(1, stall)
    assert not writer.close(0.01)
    stall.released.set()
    assert writer.close(60)
