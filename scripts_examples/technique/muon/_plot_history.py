"""What a plot keeps: weeks of points in bounded memory, and the file that outlives a restart.

Points are thinned so that the picture stays the same: no peak and no gap is lost. Draws nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

Value = float | None  # None: a gap


def kept(times: Sequence[float], columns: Sequence[Sequence[Value]], limit: int) -> list[int]:
    """Which points stay, at most `limit` of them, in order: their indices.

    The whole time is cut into equal pieces; of each stay the least and the greatest value of every
    column, and one gap of each if it has any. The first and the last point always stay.
    """
    count = len(times)
    if count <= limit:
        return list(range(count))
    pieces = max(1, (limit - 2) // (3 * max(1, len(columns))))
    time = np.asarray(times, dtype=float)
    span = float(time.max() - time.min()) or 1.0
    piece = np.minimum((time - time.min()) / span * pieces, pieces - 1).astype(int)
    chosen = {0, count - 1}
    for column in columns:
        value = np.array(column, dtype=float)  # None becomes NaN
        present = np.flatnonzero(~np.isnan(value))
        # By piece, then by value: the ends of each piece's stretch are its extremes.
        ordered = present[np.lexsort((value[present], piece[present]))]
        edge = np.flatnonzero(np.diff(piece[ordered]))
        if len(ordered):
            chosen.update(ordered[[0, *(edge + 1)]].tolist())
            chosen.update(ordered[[*edge, -1]].tolist())
        gaps = np.flatnonzero(np.isnan(value))
        chosen.update(gaps[np.unique(piece[gaps], return_index=True)[1]].tolist())
    return sorted(chosen)


def row(point: Iterable[object]) -> str:
    """A point as a line of the file: ISO time, values; nothing where there is a gap."""
    time, *values = point
    fields = [time.isoformat() if isinstance(time, datetime) else str(time)]
    return ",".join([*fields, *("" if value is None else str(value) for value in values)]) + "\n"


def read(path: Path) -> tuple[list[str], list[datetime], list[list[Value]], int]:
    """Header lines, times, columns, and how many rows were skipped as corrupt.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    header: list[str] = []
    rows: list[tuple[datetime, list[Value]]] = []
    corrupt = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("#"):
                header.append(line[1:].strip())
                continue
            try:
                # A line that was cut off has no end, and perhaps only half of a number.
                rows.append(_point(line))
            except ValueError:
                corrupt += 1
    width = _width(header, rows)
    sound = [(time, values) for time, values in rows if len(values) == width]
    columns = [[values[index] for _, values in sound] for index in range(width)]
    return header, [time for time, _ in sound], columns, corrupt + len(rows) - len(sound)


def _width(header: list[str], rows: list[tuple[datetime, list[Value]]]) -> int:
    for line in header:
        if line.startswith("Axes: "):
            return line.count(", ")
    return len(rows[0][1]) if rows else 0


def _point(line: str) -> tuple[datetime, list[Value]]:
    if not line.endswith("\n"):
        raise ValueError("cut off")
    time, *values = line.strip().split(",")
    numbers = [float(value) if value not in ("", "None") else None for value in values]
    return datetime.fromisoformat(time), numbers


def rewrite(path: Path, header: Iterable[str], rows: Iterable[str]) -> None:
    """Have exactly this in the file; at no moment is it half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.writelines(f"# {line}\n" for line in header)
        file.writelines(rows)
    os.replace(new, path)


def append(path: Path, line: str) -> None:
    """Add a row."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
