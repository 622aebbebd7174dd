"""Runs a tool, such as git, beside the scripts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bgrscrpt_ioc.host.posix.exits import describe_exit
from bgrscrpt_ioc.host.posix.pipe import Pipe
from bgrscrpt_ioc.host.posix.reaper import Reaper
from bgrscrpt_ioc.host.posix.signals import send_session

MOST = 1 << 20  # bytes at the end of a tool's output that are kept


async def run_tool(
    command: Sequence[str],
    reaper: Reaper,
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdin: bytes | None = None,
) -> tuple[int, bytes]:
    """Run a command to its end; return its exit code and its output. It is killed if cancelled.

    Args:
        command: the program and its arguments.
        reaper: hears of its end.
        cwd: its working directory.
        environ: its whole environment.
        stdin: what it reads there. If None, it reads nothing, and stderr is not part of its output.

    Raises:
        OSError: the command cannot be run.
    """
    pid, read = _start(command, cwd, environ, stdin)
    output = bytearray()

    def keep(data: bytes) -> None:
        output.extend(data)
        del output[:-MOST]

    pipe = Pipe(read, keep)
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    reaper.watch(pid, end)
    try:
        status = await ended
        pipe.drain()
    except asyncio.CancelledError:
        send_session(pid, signal.SIGKILL)
        raise
    finally:
        pipe.close()
    return describe_exit(status)[0], bytes(output)


def _start(
    command: Sequence[str], cwd: Path, environ: Mapping[str, str], stdin: bytes | None
) -> tuple[int, int]:
    given = subprocess.DEVNULL if stdin is None else _file_of(stdin)
    read, write = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is the caller's constant
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=given,
            stdout=write,
            stderr=subprocess.DEVNULL if stdin is None else subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(write)
        if stdin is not None:
            os.close(given)
    process.returncode = 0  # the Reaper reaps it, not Popen
    return process.pid, read


def _file_of(data: bytes) -> int:
    """Return a file in memory that holds `data`.

    Unlike a pipe, it needs no reader at the same time.
    """
    file = os.memfd_create("stdin", os.MFD_CLOEXEC)
    os.write(file, data)
    os.lseek(file, 0, os.SEEK_SET)
    return file
