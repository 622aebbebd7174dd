"""Work that a script causes without end is done at a pace: the first at once, the last always."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bgrscrpt_ioc.script.paced import Paced, Sparing


def adder(done: list[int], number: int) -> Callable[[], None]:
    return lambda: done.append(number)


async def test_the_first_at_once_and_the_last_always() -> None:
    """What comes in between is replaced by what is newer."""
    paced, done = Paced(0.02), list[int]()
    for number in range(100):
        paced.ask(adder(done, number))
    assert done == [0]
    async with asyncio.timeout(30):
        while done[-1] != 99:
            await asyncio.sleep(0.005)
    assert len(done) <= 3


async def test_flush() -> None:
    """`flush` does what waits at once, and only once."""
    paced, done = Paced(60), list[int]()
    for number in range(3):
        paced.ask(adder(done, number))
    paced.flush()
    paced.flush()
    assert done == [0, 2]
    paced.ask(adder(done, 3))
    assert done == [0, 2]
    paced.flush()
    assert done == [0, 2, 3]


def test_sparing() -> None:
    """The first warning is written, the others are counted, and the count is written at the end."""
    said: list[str] = []
    sparing = Sparing(said.append)
    for _ in range(5):
        sparing.say("bad")
    sparing.end()
    sparing.end()
    assert said == ["bad", "4 more warnings of this kind were left out"]
    often = Sparing(said.append, every=0)
    often.say("a")
    often.say("b")
    assert said[-2:] == ["a", "b"]
