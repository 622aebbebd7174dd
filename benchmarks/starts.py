"""From a command to the first line of a script, and to its imports done; by us and by our peers.

`python -m benchmarks.starts`. The first peer is plain Python: no supervision, only the interpreter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.kit import Row, Stamps, median, now, table
from benchmarks.peers import Circus, Ours, Plain, ProcServ, Supervisor, bench

ROUNDS = 25
TRIVIAL = "while True:\n    time.sleep(1000)\n"
IMPORTS = "import numpy, matplotlib.pyplot\nstamp('imports done')\n" + TRIVIAL
PRELOAD = ("--preload", "numpy", "--preload", "matplotlib.pyplot")


def measured(stamps: Stamps, what: str, command: Callable[[], object]) -> float:
    """Give the command; ms until the script has stamped `what`."""
    began = now()
    command()
    return 1000 * (stamps.wait(what, began) - began)


def restarts(text: str, what: str, *preload: str) -> Iterator[tuple[str, float]]:
    """RESTART of a script that runs to a stamp of the new run, median ms of each peer."""
    for kind in (Plain, ProcServ, Supervisor, Circus):
        with one(text) as (python, script, directory, stamps), ExitStack() as stack:
            peer = stack.enter_context(kind(python, script, directory))
            stamps.wait(what, 0)
            found = [measured(stamps, what, peer.restart) for _ in range(ROUNDS)]
            yield peer.name, median(found)
    for options in ((), ("--warm-spare", *preload)):
        with one(text) as (python, script, directory, stamps), ExitStack() as stack:
            ours = stack.enter_context(Ours(python, script, directory, *options))
            stamps.wait(what, 0)
            found = []
            for _ in range(ROUNDS):
                ours.prepare()
                found.append(measured(stamps, what, ours.restart))
            yield ours.name, median(found)


def starts(text: str, what: str, *preload: str) -> Iterator[tuple[str, float]]:
    """START of a script that does not run to a stamp, median ms: plain Python's and ours."""
    with one(text) as (python, script, directory, stamps):
        found = []
        plain = Plain(python, script, directory)
        for _ in range(ROUNDS):
            found.append(measured(stamps, what, plain.__enter__))
            plain.__exit__()
        yield plain.name, median(found)
    for options in ((), ("--warm-spare", *preload)):
        with one(text) as (python, script, directory, stamps), ExitStack() as stack:
            ours = stack.enter_context(Ours(python, script, directory, *options))
            found = []
            for _ in range(ROUNDS):
                ours.stop()
                ours.prepare()
                found.append(measured(stamps, what, ours.start))
            yield ours.name, median(found)


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
    for figure, found, warm_goal, cold_goal in (
        ("START to first line", starts(TRIVIAL, "first line"), "<= 0.35", "<= 1.3"),
        ("START to imports done", starts(IMPORTS, "imports done", *PRELOAD), "<= 0.03", ""),
        ("RESTART to first line", restarts(TRIVIAL, "first line"), "", ""),
        ("RESTART to imports done", restarts(IMPORTS, "imports done", *PRELOAD), "", ""),
    ):
        medians = dict(found)
        cold, warm = medians.pop("ours"), medians.pop("ours, warm")
        yield Row(f"{figure}, cold", "ms", cold, medians, cold_goal)
        yield Row(f"{figure}, warm spare", "ms", warm, medians, warm_goal)


if __name__ == "__main__":
    print(table(rows()))
