"""Helps tests of log files: makes lines to write, and reads the lines of a file."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.loglines import Block
from bgrscrpt_ioc.output.writer import Writer

MOMENT = datetime(2026, 11, 22, 13, 45, 6, 123_000)
WHEN = MOMENT.timestamp()
STAMP = "2026-11-22 13:45:06.123 "
TODAY = "X-20261122.log"

Logs = Callable[..., LogFile]


def block(*lines: str) -> Block:
    return Block("".join(f"{line}\n" for line in lines).encode(), len(lines))


def numbered(start: int, stop: int) -> Block:
    return block(*(f"line {number:05}" for number in range(start, stop)))


def text(path: Path) -> list[str]:
    """Return the lines of a log file without their stamps; all must have one."""
    content = path.read_text()
    assert content.endswith("\n")
    lines = content.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ", line) for line in lines)
    return [line[24:] for line in lines]


def written(writer: Writer) -> None:
    """Wait until the writer has done all that it was given."""
    done = threading.Event()
    assert writer.put(0, done.set)
    assert done.wait(60)
