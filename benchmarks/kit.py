"""What the benchmarks share: rows of one table, and stamps that scripts leave in a file."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

DEADLINE = 300.0  # s until a measurement gives up: some peers take a minute on a busy machine


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: ours, and each peer's of the same run.

    Attributes:
        goal: `<= 1.1` or `>= 4` of the ratio, `<= 40 MB` of the figure itself; "": there is none.
        against: the peer that the ratio is to; the first one, if it is not said.
    """

    figure: str
    unit: str
    ours: float
    peers: dict[str, float]
    goal: str = ""
    against: str = ""

    @property
    def ratio(self) -> float:
        """Ours to the peer's."""
        if not self.peers:
            return float("nan")
        return self.ours / self.peers[self.against or next(iter(self.peers))]

    @property
    def verdict(self) -> str:
        """Whether the goal is met; empty where there is none."""
        found = re.fullmatch(r"(<=|>=) ([\d.]+)( \S.*)?", self.goal)
        if found is None:
            return ""
        value, bound = self.ours if found[3] else self.ratio, float(found[2])
        return "met" if (value <= bound if found[1] == "<=" else value >= bound) else "MISSED"


def table(rows: Iterable[Row]) -> str:
    """All rows, in Markdown."""
    lines = ["| figure | ours | peers | ratio | goal | |", "|---|---|---|---|---|---|"]
    for row in rows:
        peers = ", ".join(f"{name} {shown(value)}" for name, value in row.peers.items())
        ratio = f"{row.ratio:.2g}" if row.peers else ""
        if row.against:
            ratio += f" ({row.against})"
        ours = f"{shown(row.ours)} {row.unit}"
        lines.append(f"| {row.figure} | {ours} | {peers} | {ratio} | {row.goal} | {row.verdict} |")
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
