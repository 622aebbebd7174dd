"""Looks at the files of a launch, and says which of them made the launch fail."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from bgrscrpt_ioc.host.files import read_regular
from bgrscrpt_ioc.process.order import Order

LINE = 200  # characters of what an interpreter printed, in a message
INTERPRETERS = (("bin", "python"), ("Scripts", "python.exe"))  # of a virtual environment
NO_PROGRAM = (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR)

UNREACHED = "the disk of `cwd`, `python` or `script` does not answer: not launched until it does"


class SpawnError(Exception):
    """The interpreter could not be launched; the text names the file and the remedy."""


def reach(order: Order) -> None:
    """Return when the disks of working directory, interpreter and script have answered.

    Blocks while one of them hangs, as a launch would. All other problems are found by the launch.
    """
    for path in (order.cwd, order.script):
        with contextlib.suppress(OSError):
            path.stat()
    with contextlib.suppress(OSError):
        read_regular(Path(order.python), 1)


def why_not_spawned(order: Order, error: OSError | ValueError) -> str:
    """Return which file made a launch fail; the system's error names one of them at most."""
    if isinstance(error, ValueError):
        return "`args`, `python_path` and `preload` are too long"
    if not os.path.isdir(order.cwd):  # noqa: PTH112 - Path.is_dir raises where we may not look
        if order.cwd == order.script.parent:  # the setting `cwd` is not set
            return f"the script {order.script} does not exist: set `script` to a file that exists"
        return f"cwd {order.cwd} is not a directory: set `cwd` to one that exists"
    if error.filename in (order.cwd, str(order.cwd)):
        return f"cwd {order.cwd} cannot be entered: {error.strerror}"
    if os.path.isdir(order.python):  # noqa: PTH112 - as above
        places = [Path(order.python, *each) for each in INTERPRETERS]
        remedy = next((str(each) for each in places if each.exists()), "a Python interpreter")
        return f"cannot run {order.python}: it is a directory: set `python` to {remedy}"
    remedy = ": set `python` to a Python interpreter" if error.errno in NO_PROGRAM else ""
    return f"cannot run {order.python}: {error.strerror}{remedy}"


def why_not_begun(python: str, reason: str, output: bytes) -> str:
    """Return why an interpreter has ended without a message, from its output."""
    if b"Unknown option: -I" in output:
        return f"{python} is a Python that is too old: set `python` to Python 3.8 or newer"
    said = output.decode("utf-8", "replace").strip().rpartition("\n")[2][-LINE:]
    return (
        f"{reason} before the script's first line: is `python` ({python}) Python 3.8 or newer, or a"
        " wrapper that leaves its stdin to Python?" + (f" It printed: {said}" if said else "")
    )
