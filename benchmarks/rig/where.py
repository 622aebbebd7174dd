"""Where the IOC of a test runs: on this host, or on Windows under Wine; its clients are here.

`make test-windows` sets BGRSCRPT_TEST_WINDOWS to what tests/windows/assemble has made.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from benchmarks.rig.ca import HERE, Peer
from bgrscrpt_ioc.process.order import COOKIE

WINDOWS = "BGRSCRPT_TEST_WINDOWS" in os.environ
WINE = Path(os.environ.get("BGRSCRPT_TEST_WINDOWS", "")).absolute()
DRIVE = WINE / "prefix" / "drive_c"
CONSOLE = HERE.parents[1] / "tests" / "windows" / "console.py"
PYTHON = str(WINE / "python") if WINDOWS else sys.executable
PROGRAM = f"Z:{WINE}/windows/python.exe".replace("/", "\\") if WINDOWS else PYTHON
COMMAND = (PYTHON, "-W", "error", "-m", "bgrscrpt_ioc")


def native(path: Path) -> str:
    """Return a path of this host as the IOC's host has it."""
    if not WINDOWS:
        return str(path)
    if path.is_relative_to(DRIVE):
        return "C:\\" + str(path.relative_to(DRIVE)).replace("/", "\\")
    return "Z:" + str(path).replace("/", "\\")


def here(path: str) -> Path:
    """Return a path of the IOC's host as this host has it."""
    return Path(path.removeprefix("Z:").replace("\\", "/") if WINDOWS else path)


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `bgrscrpt-ioc ARGUMENTS`, where an IOC is to be served.

    On Windows it has a console of its own, at which `Ioc.end` presses keys.
    """
    given = [native(each) if isinstance(each, Path) else each for each in arguments]
    if not WINDOWS:
        return [*COMMAND, *given]
    return [PYTHON, str(CONSOLE), PROGRAM, *COMMAND[1:], *given]


@cache
def census() -> Peer:
    """Return a program that sees the processes of Windows; it ends with the tests.

    While it runs so does Wine, which would need seconds to start again for each test.
    """
    return Peer([PYTHON, native(HERE / "census.py")], os.environ)


def runs() -> dict[int, str]:
    """Return the processes of runs, as their host knows them: {pid: cookie}."""
    if WINDOWS:
        found = census().ask("look", variable=COOKIE)
        return {int(pid): cookie for pid, cookie in found.items()}
    from bgrscrpt_ioc.host.posix import processes as posix  # Windows has none of what it imports

    return posix.started_with_any(COOKIE)
