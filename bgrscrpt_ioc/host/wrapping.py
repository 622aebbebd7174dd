"""Breaks texts into lines between words, for a terminal. Pure."""

from __future__ import annotations

import textwrap

NARROWEST = 20  # columns: every terminal is taken to have at least these


def wrapped(text: str, width: int, first: str = "", rest: str = "  ") -> list[str]:
    """Return a text as lines of at most `width` columns; no character is lost.

    A word that is longer than a line, such as a path, stays whole. The terminal breaks it, and who
    copies it gets it in one piece.

    Args:
        text: its own line breaks are kept.
        width: columns of the terminal.
        first: the beginning of the first line.
        rest: the beginning of the other lines.
    """
    lines: list[str] = []
    for paragraph in text.splitlines():
        lines += textwrap.wrap(
            paragraph,
            max(NARROWEST, width),
            initial_indent=rest if lines else first,
            subsequent_indent=rest,
            break_on_hyphens=False,
            break_long_words=False,
        ) or [""]
    return lines
