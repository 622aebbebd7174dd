"""The command `check --self`: reports what works on this machine."""

from __future__ import annotations

import asyncio
import platform

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.script.selfcheck import trials


def self_check() -> int:
    """Try everything; return 1 if something does not work."""
    python = f"Python {platform.python_version()}"
    write(f"bgrscrpt-ioc {__version__}, {python}, {platform.platform()}\n", now=True)
    return asyncio.run(_tell())


async def _tell() -> int:
    failed = 0
    async for title, problem in trials():
        failed += bool(problem)
        write(f"FAILS: {title}: {problem}\n" if problem else f"works: {title}\n", now=True)
    return min(failed, 1)
