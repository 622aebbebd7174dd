"""Makes one text of the stacks of a run's processes: without our frames, bounded, whole lines.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bgrscrpt_ioc.host.contract import Dump
from bgrscrpt_ioc.output.loglines import visible

THREAD = re.compile(r"^(Current thread|Thread) 0x", re.MULTILINE)


def stacks_text(dumps: Sequence[Dump], ours: str, head: str, size: int) -> str:
    """Return the stacks of processes, the script's own first, in at most `size` bytes of UTF-8.

    Args:
        dumps: what the processes have sent.
        ours: the directory of our own code in the script's interpreter.
        head: the first line, which says when and why the stacks were taken.
        size: bytes of the result, at most.
    """
    parts = [f"{head}\n"]
    for at, dump in enumerate(dumps):
        name = f"process {dump.pid}{', a child' if at else ''}"
        if dump.problem:
            parts.append(f"{name}: no stacks: {dump.problem}\n" if not dump.text else "")
        if dump.text:
            cut = f" ({dump.problem})" if dump.problem else ""
            parts.append(f"{name}:{cut}\n{without_ours(dump.text, ours)}")
    return cut_lines("\n".join(filter(None, parts)), size)


def without_ours(dump: bytes, ours: str) -> str:
    """Remove the frames of our code, and the threads that have no other frames."""
    text = visible(dump.decode("utf-8", "replace"), lines=True)
    directory = f'  File "{visible(as_faulthandler_writes(ours))}'
    place = (f"{directory}/", f"{directory}\\")
    starts = [match.start() for match in THREAD.finditer(text)] or [0]
    kept = [] if starts[0] == 0 else [text[: starts[0]].rstrip("\n")]
    for begin, end in zip(starts, [*starts[1:], len(text)], strict=True):
        lines = text[begin:end].rstrip("\n").split("\n")
        frames = [line for line in lines[1:] if not line.startswith(place)]
        if frames or len(lines) == 1:
            kept.append("\n".join([lines[0], *frames]))
    return "\n\n".join(kept) + "\n"


def as_faulthandler_writes(path: str) -> str:
    """Return a path as faulthandler writes it: in ASCII."""
    return path.encode("ascii", "backslashreplace").decode()


def cut_lines(text: str, size: int) -> str:
    """Return a text of at most `size` bytes: lines are removed from its middle, both ends stay."""
    lines = text.encode().split(b"\n")
    if len(text.encode()) <= size:
        return text
    mark = b"... (%d lines left out) ..."
    room = (size - len(mark % len(lines)) - 2) // 2
    first = _fitting(lines, room)
    last = _fitting(lines[:first:-1], room)
    left_out = mark % (len(lines) - first - last)
    kept = [*lines[:first], left_out, *(lines[-last:] if last else [])]
    return b"\n".join(kept).decode(errors="ignore")


def _fitting(lines: Sequence[bytes], room: int) -> int:
    """Return how many lines from the first on have room."""
    for count, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            return count
    return len(lines)
