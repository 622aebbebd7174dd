"""Messages that the script's side holds back and sends later: child/_bgrscrpt_pace.py."""

from __future__ import annotations

from typing import Any

from bgrscrpt_ioc.child._bgrscrpt_pace import Sender


def test_nothing_is_lost_before_a_fork() -> None:
    """Messages that found no room are sent before a fork, in order, if room comes in time."""
    sent: list[int] = []
    refusals = iter([True, True, False] * 20)

    def send(item: int) -> bool:
        if next(refusals):
            return False
        sent.append(item)
        return True

    sender = Sender(send, every=60.0)
    hold: Any = sender.hold
    with sender.lock:
        assert all(hold(key, key) for key in range(20))
    sender.settle()
    assert sent == list(range(20))
    assert sender.sender is None
