"""What the benchmarks share: rows of one table, and stamps that scripts leave in a file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

DEADLINE = 60.0  # s until a measurement that waits for something gives up


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours, each peer's of the same run, and what the ratio to the first should be."""

    figure: str
    unit: str
    ours: float
    peers: dict[str, float]
    goal: str = ""

    @property
    def ratio(self) -> float:
        """Ours to the first peer's."""
        return self.ours / next(iter(self.peers.values())) if self.peers else float("nan")


def table(rows: Iterable[Row]) -> str:
    """All rows, in Markdown."""
    lines = ["| figure | ours | peers | ratio | goal |", "|---|---|---|---|---|"]
    for row in rows:
        peers = ", ".join(f"{name} {shown(value)}" for name, value in row.peers.items())
        ratio = f"{row.ratio:.3g}" if row.peers else ""
        ours = f"{shown(row.ours)} {row.unit}"
        lines.append(f"| {row.figure} | {ours} | {peers} | {ratio} | {row.goal} |")
    return "\n".join(lines)


def shown(value: float) -> str:
    """Three figures, and no more than there are."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def median(values: Sequence[float]) -> float:
    """The median; what a noisy machine does now and then is left out."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all is not above."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for it, looking every millisecond."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {DEADLINE:g} s")
        time.sleep(0.001)


class Stamps:
    """A file to which scripts append what they have reached, with the time of CLOCK_MONOTONIC.

    `SCRIPT` is put in front of a script's text; then `stamp("name")` writes a line.
    """

    SCRIPT = """
import os, time
def stamp(name):
    fd = os.open({path!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    os.write(fd, ("%s %.9f\\n" % (name, time.clock_gettime(time.CLOCK_MONOTONIC))).encode())
    os.close(fd)
stamp("first line")
"""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("")

    def script(self, path: Path, text: str) -> Path:
        """Write a script that stamps its first line, and then does `text`."""
        path.write_text(self.SCRIPT.format(path=str(self.path)) + text)
        return path

    def wait(self, name: str, after: float) -> float:
        """Wait for such a stamp that is later than `after`; its time."""
        found: list[float] = []

        def there() -> bool:
            found[:] = [at for told, at in self._read() if told == name and at > after]
            return bool(found)

        until(there, name)
        return found[0]

    def _read(self) -> list[tuple[str, float]]:
        lines = self.path.read_text().splitlines()
        split = [line.rpartition(" ") for line in lines]
        return [(name, float(at)) for name, _, at in split]


def now() -> float:
    """The time that the stamps have."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
