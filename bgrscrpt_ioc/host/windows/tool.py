"""Runs a tool, such as git or a command of `notify`, beside the scripts."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bgrscrpt_ioc.host.contract import Allowance
from bgrscrpt_ioc.host.windows.exits import describe_exit
from bgrscrpt_ioc.host.windows.job import Job
from bgrscrpt_ioc.host.windows.reaper import Reaper

MOST = 1 << 20  # bytes of output that are returned, the last ones


async def run_tool(
    command: Sequence[str],
    reaper: Reaper,  # noqa: ARG001 - the contract's
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdin: bytes | None = None,
) -> tuple[int, bytes]:
    """Run a command to its end; return its exit code and its output. Killed if cancelled.

    What the command has started ends with it: all is in one job.

    Args:
        command: the program and its arguments.
        reaper: has nothing to do here.
        cwd: its working directory.
        environ: all of its environment.
        stdin: what it finds there. None: nothing, and its stderr is no part of its output.

    Raises:
        OSError: the command cannot be run.
    """
    job = Job(Allowance())
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if stdin is None else subprocess.STDOUT,
            creationflags=subprocess.CREATE_NO_WINDOW,
        )
        with contextlib.suppress(OSError):  # it has ended already
            job.add(process._transport.get_extra_info("subprocess"))  # type: ignore[attr-defined]
        output, _ = await process.communicate(stdin)
        return describe_exit(process.returncode or 0)[0], output[-MOST:]
    finally:
        job.close()
