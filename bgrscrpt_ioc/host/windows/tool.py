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

MOST = 1 << 20  # bytes of output that are returned, from its end


async def run_tool(
    command: Sequence[str],
    reaper: Reaper,  # noqa: ARG001 - the contract's
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdin: bytes | None = None,
) -> tuple[int, bytes]:
    """Run a command to its end, and return its exit code and its output.

    If this is cancelled, the command is killed. Processes that the command has started end with
    it, because all are in one job.

    Args:
        command: program and arguments.
        reaper: not used.
        cwd: working directory of the command.
        environ: whole environment of the command.
        stdin: input of the command. None: no input, and stderr is not part of the output.

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
        with contextlib.suppress(OSError):  # the command has ended already
            job.add(process._transport.get_extra_info("subprocess"))  # type: ignore[attr-defined]
        output, _ = await process.communicate(stdin)
        return describe_exit(process.returncode or 0)[0], output[-MOST:]
    finally:
        job.close()
