"""Finds out by the mode whether anybody may change a file or a directory."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterable
from pathlib import Path


def open_to_all(path: Path) -> bool:
    """Return whether others than owner and group may write to what is at `path`.

    Who may write to a directory can replace a file in it, unless the directory is sticky, as /tmp
    is.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False  # it does not exist, which is reported elsewhere
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    return bool(mode & stat.S_IWOTH) and not sticky and not stat.S_ISLNK(mode)


def describe_open(paths: Iterable[Path]) -> str:
    """Return a message that anybody may change these, with the remedy."""
    names = [shlex.quote(str(each)) for each in paths]
    return f"anybody may change {' and '.join(names)}: chmod o-w {' '.join(names)}"
