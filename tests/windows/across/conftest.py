"""What tests of an IOC under Wine share. Their clients are on this host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.ca import DEADLINE, Client, ca_environ
from benchmarks.rig.iocs import COMMAND, Ioc, until

P = "TE:BGRSCRPT_01:"
# One write: between the two of `print` an interrupt could come.
FOREVER = """import sys, time
sys.stdout.write('up\\n')
try:
    time.sleep(1000)
finally:
    print('finally')
"""


def scripts(directory: Path) -> list[int]:
    """Return the pids on this host of the scripts that were started in a directory."""
    found: list[int] = []
    for process in Path("/proc").iterdir():
        try:
            if b"bootstrap.py" in (process / "cmdline").read_bytes() and Path(
                os.readlink(process / "cwd")  # noqa: PTH115 - text, not a path
            ).is_relative_to(directory):
                found.append(int(process.name))
        except (OSError, ValueError):
            continue
    return found


def command(port: int, *arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    """Run `bgrscrpt-ioc ARGUMENTS` on Windows, as a client of this port."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=ca_environ(port, **environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )


class Bench:
    """An IOC on Windows with one script, and a client of it on this host."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self.script = directory, directory / "my script.py"
        self.stack = stack

    def start(self, *arguments: str | Path, **more: Any) -> Ioc:
        """Start an IOC, and wait until it serves."""
        return self.stack.enter_context(Ioc(self.directory, *arguments, **more)).ready()

    def run(self, text: str = FOREVER, *options: str, **more: Any) -> Client:
        """Start the IOC with a stopped script, and a client of the IOC."""
        self.script.write_text(text, encoding="utf-8")
        given = ["--prefix", "TE:", "--at-start", "stop", "--backoff", "0.05", *options]
        self.ioc = self.start(self.script, *given, **more)
        return self.client_of(self.ioc)

    def client_of(self, ioc: Ioc) -> Client:
        """Start a client of an IOC."""
        return self.stack.enter_context(Client(ioc.port))

    def until(self, client: Client, name: str, good: Callable[[str], Any]) -> str:
        """Wait until the text of a PV is as wanted; return the text."""
        return until(lambda: good(text := client.text(P + name)) and text)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench; at its end all that it has started is ended."""
    directory = tmp_path / "an instrument"
    directory.mkdir()
    with ExitStack() as stack:
        yield Bench(directory, stack)
