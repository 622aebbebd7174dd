"""How the script's process takes puts whose `on_put` is a coroutine function: _bgrscrpt_puts.py."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from bgrscrpt_ioc.child import bgrscrpt

puts_module: Any = bgrscrpt._ours("_bgrscrpt_puts")
VALUE = SimpleNamespace(put=lambda value: value)  # the type of a PV that takes anything


@pytest.fixture
def threads_take_turns_often() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def pv_with(on_put: Callable[[int], Any]) -> Any:
    """Make a writable PV; in a running loop, as a script with asyncio makes it."""
    return puts_module.WritablePv(SimpleNamespace(home=bgrscrpt), "PV", VALUE, 0, on_put)


async def test_a_put_that_comes_when_another_ends_waits_for_those_before_it() -> None:
    """A put that arrives while a coroutine ends does not overtake the puts that wait."""
    taken: list[int] = []
    all_ended = asyncio.Event()

    async def take(value: int) -> None:
        taken.append(value)

    pv = pv_with(take)

    def first_ended(_problem: str, _holds: bool) -> None:
        pv._take_put(3, lambda *_: all_ended.set())

    pv._take_put(1, first_ended)
    pv._take_put(2, lambda *_: None)
    await asyncio.wait_for(all_ended.wait(), 60)
    assert taken == [1, 2, 3]


@pytest.mark.usefixtures("threads_take_turns_often")
async def test_puts_of_another_thread_end_once_and_in_order() -> None:
    """Two threads take the puts: the one that receives them and the loop's. None is lost."""
    number = 2000
    ended: SimpleQueue[int] = SimpleQueue()

    async def take(value: int) -> None:
        if value % 3 == 0:
            await asyncio.sleep(0)

    pv = pv_with(take)

    def receive() -> list[int]:
        for value in range(number):
            pv._take_put(value, lambda *_, value=value: ended.put(value))
        return [ended.get(timeout=60) for _ in range(number)]

    assert await asyncio.to_thread(receive) == list(range(number))
    assert ended.empty()
