"""An IOC whose script prints when it is told to, and where its lines are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.rig.ca import TIME, Client
from benchmarks.rig.iocs import Ioc, until
from bgrscrpt_ioc.lifecycle.events import Severity

P = "TE:BGRSCRPT_01:"
PRINTER = """
import sys

number = 0
print("begun", flush=True)
with open(sys.argv[1]) as orders:
    for order in orders:
        for _ in range(int(order)):
            number += 1
            print(f"line {number:08} {'x' * 66}")
        sys.stdout.flush()
"""
LINE = re.compile(r"[-\d]{10} [:\d]{8}\.\d{3} (.*)")


class Bench:
    """One IOC with one script; logs in `logs`, state in `directory`/state."""

    def __init__(self, directory: Path, logs: Path, stack: ExitStack) -> None:
        self.directory, self.logs = directory, logs
        self.script = directory / "script.py"
        self._stack = stack
        self._printed = 0
        self.ioc: Ioc
        self.client: Client

    def run(self, text: str = PRINTER, *options: str | Path, **more: Any) -> Client:
        """Start the IOC, and wait until its script runs."""
        self.start(text, *options, **more)
        until(lambda: self.client.get(P + "STATUS") == 2)
        if text == PRINTER:
            self._printed = 1
            until(lambda: self.count == 1)
        return self.client

    def start(self, text: str = PRINTER, *options: str | Path, **more: Any) -> Client:
        """Start the IOC."""
        self.script.write_text(text)
        orders = self.directory / "orders"
        if not orders.exists():
            os.mkfifo(orders)
            self._orders = os.open(orders, os.O_RDWR)
            self._stack.callback(os.close, self._orders)
        given = ["--prefix", "TE:", "--log-dir", self.logs, "--no-echo", "--arg", orders, *options]
        ioc = Ioc(self.directory, self.script, *given, **more)
        self.ioc = self._stack.enter_context(ioc).ready()
        self.client = self._stack.enter_context(Client(self.ioc.port))
        return self.client

    def print(self, lines: int) -> None:
        """Let the script print, and wait until LOG:COUNT says that it has."""
        self.order(lines)
        until(lambda: self.count == self._printed)
        last = f"line {self._printed - 1:08} {66 * 'x'}"
        until(lambda: self.client.text(P + "LOG").endswith(last))

    def order(self, lines: int) -> None:
        """Let the script print."""
        os.write(self._orders, f"{lines}\n".encode())
        self._printed += lines

    @property
    def count(self) -> int:
        return int(self.client.get(P + "LOG:COUNT"))

    @property
    def dropped(self) -> int:
        return int(self.client.get(P + "LOG:DROPPED"))

    def severity(self, name: str = "LOG:FILE") -> Severity:
        """Return the alarm severity of a PV."""
        kind = TIME + self.client.connect(P + name)["type"]
        return Severity(self.client.read(P + name, kind)["severity"])

    def in_alarm(self) -> bool:
        return {self.severity(name) for name in ("LOG:FILE", "LOG:DROPPED")} == {Severity.MINOR}

    def is_well(self) -> bool:
        return {self.severity(name) for name in ("LOG:FILE", "LOG:DROPPED")} == {Severity.NO_ALARM}

    def said(self, text: str) -> int:
        """Return how often the IOC's own log has a text, up to what it says next."""
        self.ioc.drain()
        return self.ioc.output.count(text)


@contextmanager
def bench(directory: Path, logs: Path | None = None) -> Iterator[Bench]:
    """A bench that leaves nothing behind."""
    with ExitStack() as stack:
        yield Bench(directory, logs or directory / "log", stack)


def printed(logs: Path) -> list[str]:
    """Return the script's lines in all files, oldest first.

    Each is whole, has its stamp, and comes once.
    """
    texts = []
    for path in sorted(logs.glob("*BGRSCRPT_01-*.log")):
        content = path.read_text()
        assert content.endswith("\n") or not content
        for line in content.splitlines():
            found = LINE.fullmatch(line)
            assert found, line
            if not found[1].startswith("--- "):
                texts.append(found[1])
    assert texts == sorted(set(texts)), "lines are in disorder, or there twice"
    return texts


def missing(logs: Path, why: str) -> int:
    """Return how many lines are missing, as the files themselves say."""
    text = "".join(path.read_text() for path in logs.glob("*.log"))
    return sum(map(int, re.findall(rf"--- (\d+) lines not kept: {why}\n", text)))
