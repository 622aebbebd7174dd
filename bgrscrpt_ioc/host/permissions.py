"""Finds out whether others than owner and group may change a file, by its mode or its directories'.

It changes no mode, and does not decide what follows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bgrscrpt_ioc.host import system


def open_to_others(path: Path) -> str:
    """Return a message if anybody may change what is at `path`, with the remedy.

    Otherwise nothing.
    """
    found = dict.fromkeys(each for each in _places(path) if system.open_to_all(each))
    if not found:
        return ""
    return system.describe_open(found)


def refusal(path: Path) -> str:
    """Return why `path` is not used with `strict`; nothing if it may be used."""
    problem = open_to_others(path)
    return f"refused, because strict = true: {problem}" if problem else ""


def _places(path: Path) -> Iterator[Path]:
    """Return the file, the target of a link, and the directories above both."""
    for each in (path, Path(os.path.realpath(path))):
        yield each
        yield from each.parents
