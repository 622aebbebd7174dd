"""Starts a script's interpreter, or says which file it was that stands in the way."""

from __future__ import annotations

import errno
import os
import subprocess

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.launch import Launch

NO_PROGRAM = (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR)


class SpawnError(Exception):
    """The interpreter could not be launched; the text names the file and says what to do."""


def popen(launch: Launch, order: bytes) -> tuple[subprocess.Popen[bytes], int, int, int]:
    """Start the interpreter in a session of its own.

    Returns it, the descriptors to read its messages and its output from, and its stdin's to write.
    """
    pipes: list[tuple[int, int]] = []
    try:
        for _ in range(3):
            pipes.append(os.pipe())  # noqa: PERF401 - those made must be closed if one cannot be
        (stdin, to_stdin), (messages, stdout), (output, stderr) = pipes
        posix.enlarge_pipe(output)
        write_order(to_stdin, order)
        process = subprocess.Popen(  # noqa: S603 - the command is the configuration's, no client's
            launch.command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=launch.cwd,
            env=dict(launch.environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        for fd in (fd for pipe in pipes for fd in pipe):
            os.close(fd)
        raise SpawnError(why_not_spawned(launch, error)) from error
    for fd in (stdin, stdout, stderr):
        os.close(fd)
    return process, messages, output, to_stdin


def write_order(fd: int, order: bytes) -> None:
    """Leave the order in the pipe, before there is anybody who could fail to read it."""
    posix.enlarge_pipe(fd)
    os.set_blocking(fd, False)
    if os.write(fd, order) != len(order):
        raise ValueError("`args`, `python_path` and `preload` are too long")


def why_not_spawned(launch: Launch, error: OSError | ValueError) -> str:
    """Say which of the files it was; the system's error names only one of them, if any."""
    if isinstance(error, ValueError):
        return str(error)
    if not os.path.isdir(launch.cwd):  # noqa: PTH112 - Path.is_dir raises where we may not look
        return f"cwd {launch.cwd} is not a directory: set `cwd` to one that exists"
    if error.filename in (launch.cwd, str(launch.cwd)):
        return f"cwd {launch.cwd} cannot be entered: {error.strerror}"
    remedy = ": set `python` to a Python interpreter" if error.errno in NO_PROGRAM else ""
    return f"cannot run {launch.python}: {error.strerror}{remedy}"
