"""Runs a short command of our own, such as git, beside the scripts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.pipe import Pipe
from bgrscrpt_ioc.posix import Reaper


async def run_command(
    command: Sequence[str], reaper: Reaper, *, cwd: Path, environ: Mapping[str, str]
) -> tuple[int, bytes]:
    """Run it to its end; return its exit code and what it wrote to stdout. Killed if cancelled.

    Raises:
        OSError: it cannot be run.
    """
    pid, read = _start(command, cwd, environ)
    output = bytearray()
    pipe = Pipe(read, output.extend)
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(status: int) -> None:
        if not ended.done():
            ended.set_result(status)

    reaper.watch(pid, end)
    try:
        status = await ended
        pipe.drain()
    except asyncio.CancelledError:
        posix.send_session(pid, signal.SIGKILL)
        raise
    finally:
        pipe.close()
    return posix.describe_exit(status)[0], bytes(output)


def _start(command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> tuple[int, int]:
    read, write = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is the caller's constant
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        os.close(read)
        raise
    finally:
        os.close(write)
    process.returncode = 0  # reaped by the Reaper, not by Popen
    return process.pid, read
