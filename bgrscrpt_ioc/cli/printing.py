"""Prints what commands show: text, JSON, and rows in aligned columns.

Every command prints by these functions, so that a full disk or a closed pipe is always reported in
the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Self

from bgrscrpt_ioc.host.streams import columns

LINES = 24  # for a terminal that does not say how many it has


class OutputError(Exception):
    """Standard output cannot be written; its cause is the OSError."""

    @classmethod
    def of(cls, error: OSError) -> Self:
        """Return an OutputError that says why."""
        return cls(f"cannot write to standard output: {error.strerror or error}")


def write(text: str, *, now: bool = False) -> None:
    """Print `text` as it is; with `now`, at once.

    Raises:
        OutputError: standard output cannot be written.
    """
    try:
        sys.stdout.write(text)
        if now:
            sys.stdout.flush()
    except OSError as error:
        raise OutputError.of(error) from error


def terminal_width() -> int | None:
    """Return the columns of the terminal at stdout; None for a pipe or a file."""
    return columns(sys.stdout) if sys.stdout.isatty() else None


def terminal_height() -> int:
    """Return the lines of the terminal at stdout."""
    with contextlib.suppress(OSError):
        return os.get_terminal_size(sys.stdout.fileno()).lines or LINES
    return LINES


def in_colour() -> bool:
    """Return whether to use colour on a terminal: https://no-color.org, and TERM=dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def show_json(value: object) -> None:
    """Print a value as JSON; as ASCII, where stdout is not UTF-8.

    Raises:
        OutputError: standard output cannot be written.
    """
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    write(json.dumps(value, indent=2, default=str, ensure_ascii=not unicode) + "\n")


def show(rows: Sequence[Mapping[str, Any]], keys: Sequence[str] = (), *, as_json: bool) -> None:
    """Print rows of one kind: JSON, or aligned columns.

    If a terminal is too narrow for the columns, each row is printed as lines of `key  value`.

    Args:
        rows: the rows; each has the same keys.
        keys: the columns in their order; all, if none are given. JSON always has all.
        as_json: whether to print JSON.

    Raises:
        OutputError: standard output cannot be written.
    """
    if as_json:
        show_json(rows)
        return
    if not rows:
        return
    keys = keys or tuple(rows[0])
    cells = [[key.upper() for key in keys], *([_cell(row[key]) for key in keys] for row in rows)]
    text = _aligned(cells)
    width = terminal_width()
    if width is not None and max(map(len, text.splitlines())) > width:
        text = "\n".join(_aligned(list(zip(cells[0], line, strict=True))) for line in cells[1:])
    write(text)


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
    return "".join(f"{line}\n" for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return "-" if value is None else str(value).replace("\n", " ")
