"""What the PVs ERROR, TRACEBACK and STATUS:MSG show of a run that failed. Pure."""

from __future__ import annotations

import re

from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.process.order import BOOTSTRAP
from bgrscrpt_ioc.records.table import LINE, TAIL

CAUSE = 700  # bytes of an exception in STATUS:MSG, which says more than the exception
CRASH = re.compile("(?:Fatal Python error|Windows fatal exception): ")  # faulthandler's first words


def error_shown(error: str) -> str:
    """Return an error as the PV ERROR shows it: one line that fits."""
    return middle_cut(visible(error), LINE - 1)


def traceback_shown(traceback: str) -> str:
    """Return a traceback as the PV TRACEBACK shows it: lines that fit."""
    return middle_cut(visible(traceback, lines=True), TAIL - 1)


def cause(error: str) -> str:
    """Return an error as a part of STATUS:MSG."""
    return middle_cut(error, CAUSE)


def crash(reason: str, output: bytes) -> tuple[str, str]:
    """Return the error and the traceback of an interpreter that a signal has ended.

    Args:
        reason: which signal it was.
        output: the end of the script's output. The traceback is what faulthandler has written
            there; empty if faulthandler has written nothing.
    """
    text = output.decode("utf-8", "replace")
    dumps = [found.start() for found in CRASH.finditer(text)]
    if not dumps:
        return reason, ""
    ours = re.compile(rf'^ *File "{re.escape(str(BOOTSTRAP))}".*\n?', re.MULTILINE)
    traceback = ours.sub("", text[dumps[-1] :])
    return f"{reason}: {traceback.partition(chr(10))[0]}", traceback


def middle_cut(text: str, size: int) -> str:
    """Return a text, without its middle if the text has more than `size` bytes of UTF-8.

    The beginning and the end of an error say the most.
    """
    data = text.encode()
    if len(data) <= size:
        return text
    half = (size - 5) // 2
    return f"{data[:half].decode(errors='ignore')} ... {data[-half:].decode(errors='ignore')}"
