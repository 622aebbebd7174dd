"""The IOC's own messages, on a stderr that may stall or be closed."""

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


def test_messages_of_the_console_are_text() -> None:
    """A name or text in a message begins no line and moves no cursor.

    A traceback keeps its lines.
    """
    read, write = os.pipe()
    console = Console(write)
    trouble = ValueError, ValueError("\x1b[2J\nmore"), None
    message = "BGRSCRPT_01\n2026-11-28 bgrscrpt-ioc INFO: \x1b[2J\x9b"
    console.emit(logging.LogRecord("x", logging.ERROR, "", 0, message, None, trouble))
    console.finish(DEADLINE)
    os.close(write)
    with open(read, encoding="utf-8") as lines:  # noqa: PTH123 - a descriptor
        first, *more = lines.read().splitlines()
    assert first.endswith("ERROR: BGRSCRPT_01\\n2026-11-28 bgrscrpt-ioc INFO: \\x1b[2J\\x9b")
    assert more == ["ValueError: \\x1b[2J", "more"]


def test_a_stalled_reader_holds_up_nobody() -> None:
    """If nobody reads, messages are accepted without waiting, and the end comes in time."""
    read, write = os.pipe()
    console = Console(write)
    for _ in range(1000):
        console.emit(record("x" * 1000))
    console.finish(0.05)
    os.close(read)  # and now the thread learns that nobody will ever read
    console.finish(DEADLINE)
    os.close(write)


def test_the_journal_gets_priorities() -> None:
    """Each line begins with `<N>`, also in a traceback. The journal has the time itself."""
    read, write = os.pipe()
    console = Console(write, journal=True)
    trouble = ValueError, ValueError("why"), None
    for level in (logging.CRITICAL, logging.ERROR, logging.INFO, logging.DEBUG):
        console.emit(logging.LogRecord("x", level, "", 0, "a\n<0>b", None, None))
    console.emit(logging.LogRecord("x", logging.WARNING, "", 0, "a", None, trouble))
    console.finish(DEADLINE)
    os.close(write)
    with open(read, encoding="utf-8") as lines:  # noqa: PTH123 - a descriptor
        assert lines.read().splitlines() == [
            "<2>bgrscrpt-ioc CRITICAL: a\\n<0>b",
            "<3>bgrscrpt-ioc ERROR: a\\n<0>b",
            "<6>bgrscrpt-ioc INFO: a\\n<0>b",
            "<7>bgrscrpt-ioc DEBUG: a\\n<0>b",
            "<4>bgrscrpt-ioc WARNING: a",
            "<4>ValueError: why",
        ]
