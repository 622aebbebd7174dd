"""The IOC's own messages, on a stderr that may stall or go away."""

from __future__ import annotations

import logging
import os

from bgrscrpt_ioc.output.console import Console

DEADLINE = 30.0


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("x", logging.WARNING, "", 0, text, None, None)


def test_messages_come_out_in_order() -> None:
    """Each record is a line with its time and level."""
    read, write = os.pipe()
    console = Console(write)
    for text in ("one", "zwei ß"):
        console.emit(record(text))
    console.finish(DEADLINE)
    os.close(write)
    with open(read, encoding="utf-8") as lines:  # noqa: PTH123 - a descriptor
        one, two = lines.read().splitlines()
    assert one.endswith(" bgrscrpt-ioc WARNING: one")
    assert two.endswith(" bgrscrpt-ioc WARNING: zwei ß")


def test_a_stalled_reader_holds_up_nobody() -> None:
    """With nobody reading, messages are taken without waiting and the end comes in time."""
    read, write = os.pipe()
    console = Console(write)
    for _ in range(1000):
        console.emit(record("x" * 1000))
    console.finish(0.05)
    os.close(read)  # and now the thread learns that nobody will ever read
    console.finish(DEADLINE)
    os.close(write)
