"""Who but its owner and group may change a file: by its own mode, or by those of directories.

It changes no mode; what follows is for others to decide.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path


def open_to_others(path: Path) -> str:
    """Say that anybody may change what is at `path`, and how to mend it; nothing when all is well.

    Who may write to a directory can put another file in the place of one in it, unless the
    directory is sticky, as /tmp is.
    """
    found = dict.fromkeys(each for each in _places(path) if _writable(each))
    if not found:
        return ""
    names = [shlex.quote(str(each)) for each in found]
    return f"anybody may change {' and '.join(names)}: chmod o-w {' '.join(names)}"


def refusal(path: Path) -> str:
    """Say why `path` is not used, with `strict`; nothing when it may be."""
    problem = open_to_others(path)
    return f"refused, because strict = true: {problem}" if problem else ""


def _places(path: Path) -> Iterator[Path]:
    """The file, where a link leads, and the directories above both."""
    for each in (path, Path(os.path.realpath(path))):
        yield each
        yield from each.parents


def _writable(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False  # what is not there cannot be changed; it is missed elsewhere
    sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
    return bool(mode & stat.S_IWOTH) and not sticky and not stat.S_ISLNK(mode)
