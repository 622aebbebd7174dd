"""From a command to the first line of a script, and to its imports done; by us and our peers.

`python -m benchmarks.starts`. The first peer is plain Python: no supervision, only the interpreter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.kit import Row, Stamps, median, now, table
from benchmarks.peers import Circus, Ours, Plain, ProcServ, Supervisor, bench

ROUNDS = 11
TRIVIAL = "while True:\n    time.sleep(1000)\n"
IMPORTS = """
import numpy, matplotlib.pyplot
stamp('imports done')
try:
    while True:
        time.sleep(1000)
finally:
    stamp('last line')
"""
PRELOAD = ("--preload", "numpy", "--preload", "matplotlib.pyplot")


def measured(stamps: Stamps, what: str, command: Callable[[], object]) -> float:
    """Give the command; ms until the script has stamped `what`."""
    began = now()
    command()
    return 1000 * (stamps.wait(what, began) - began)


def restarts(text: str, what: str) -> Iterator[tuple[str, float]]:
    """RESTART of a script that runs to a stamp of the new run, median ms of each peer."""
    for kind in (Plain, ProcServ, Supervisor, Circus, Ours):
        with one(text) as (python, script, directory, stamps), ExitStack() as stack:
            peer = stack.enter_context(kind(python, script, directory))
            stamps.wait(what, 0)
            found = [measured(stamps, what, peer.restart) for _ in range(ROUNDS)]
            yield peer.name, median(found)


def plain_starts(text: str, what: str) -> float:
    """Start of plain Python to a stamp, median ms."""
    with one(text) as (python, script, directory, stamps):
        found = []
        plain = Plain(python, script, directory)
        for _ in range(ROUNDS):
            found.append(measured(stamps, what, plain.__enter__))
            plain.__exit__()
        return median(found)


def starts(text: str, what: str) -> Iterator[tuple[str, float]]:
    """START of a script that does not run to a stamp, median ms: plain Python's and ours."""
    yield Plain.name, plain_starts(text, what)
    with one(text) as (python, script, directory, stamps), ExitStack() as stack:
        ours = stack.enter_context(Ours(python, script, directory))
        found = []
        for _ in range(ROUNDS):
            ours.stop()
            found.append(measured(stamps, what, ours.start))
        yield ours.name, median(found)


def down(*options: str) -> float:
    """How long nothing runs in a RESTART: from the last line of the old run to the imports done."""
    with one(IMPORTS) as (python, script, directory, stamps), ExitStack() as stack:
        ours = stack.enter_context(Ours(python, script, directory, *options))
        stamps.wait("imports done", 0)
        found = []
        for _ in range(ROUNDS):
            began = now()
            ours.restart()
            ended = stamps.wait("last line", began)
            found.append(1000 * (stamps.wait("imports done", ended) - ended))
        return median(found)


class one:  # noqa: N801 - a context manager
    """A directory with a script."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> tuple[str, Path, Path, Stamps]:
        self._directory = tempfile.TemporaryDirectory(prefix="bgr-")
        directory = Path(self._directory.name)
        stamps = Stamps(directory / "stamps")
        script = stamps.script(directory / "script.py", self._text)
        return bench("python"), script, directory, stamps

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()


def rows() -> Iterator[Row]:
    """Measure."""
    for figure, found, goal in (
        ("START to first line", starts(TRIVIAL, "first line"), "<= 1.3"),
        ("START to imports done", starts(IMPORTS, "imports done"), ""),
        ("RESTART to first line", restarts(TRIVIAL, "first line"), ""),
        ("RESTART to imports done", restarts(IMPORTS, "imports done"), ""),
    ):
        medians = dict(found)
        yield Row(figure, "ms", medians.pop("ours"), medians, goal)
    plain = {Plain.name: plain_starts(IMPORTS, "imports done")}
    yield Row("RESTART, down until imports done", "ms", down(), plain)
    yield Row(
        "RESTART with preload, down until imports done", "ms", down(*PRELOAD), plain, "<= 0.1"
    )


if __name__ == "__main__":
    print(table(rows()))
