"""A pipe takes the event loop for a bounded time, and never more than half of it: a fake clock."""

from __future__ import annotations

import pytest

from bgrscrpt_ioc.host.ration import DEAR, LEAST, Ration

CHUNK, PACE = 1 << 17, 0.005


class Clock:
    """The work of a thread, s."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read(ration: Ration, clock: Clock, took: float, size: int = -1) -> float:
    """Return the pause after a read of `size` bytes, or of all that may be read."""
    ration.begin()
    clock.now += took
    return ration.end(ration.size if size < 0 else size)


def test_a_cheap_read() -> None:
    """The next read comes at once after a full chunk, and after the usual pause otherwise."""
    clock = Clock()
    ration = Ration(CHUNK, PACE, clock)
    assert read(ration, clock, DEAR) == 0
    assert read(ration, clock, DEAR, 100) == PACE
    assert ration.size == CHUNK


def test_a_dear_read() -> None:
    """The pause is as long as the read took, so that others have half of the event loop."""
    clock = Clock()
    ration = Ration(CHUNK, PACE, clock)
    for took in 2 * DEAR, 0.02:
        assert read(ration, clock, took) == pytest.approx(took)
    assert read(ration, clock, 2 * DEAR, 100) == PACE
    assert read(ration, clock, 0.02, 100) == pytest.approx(0.02)


def test_how_much_is_read() -> None:
    """What costs much is read in small portions, so that others wait a bounded time."""
    clock = Clock()
    ration = Ration(CHUNK, PACE, clock)
    a_byte = 0.005 / CHUNK  # s
    for _ in range(10):
        read(ration, clock, ration.size * a_byte)
    assert ration.size * a_byte < 2 * DEAR
    for _ in range(10):
        read(ration, clock, 1.0)
    assert ration.size == LEAST
    for _ in range(10):
        read(ration, clock, DEAR / 10)
    assert ration.size == CHUNK
