"""What a plot keeps of weeks of points, and how it reads them back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from technique.muon import _plot_history as history

VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6))
POINTS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[VALUES] * width), min_size=1, max_size=300)
)
NOW = datetime(2026, 10, 25, 0, 59, tzinfo=UTC)


@given(points=POINTS, limit=st.integers(20, 200), step=st.floats(0, 10))
def test_thinning(points: list[tuple[float | None, ...]], limit: int, step: float) -> None:
    """At most the limit stays, in order, the ends too; no column loses an extreme, or all gaps."""
    times = [index * step for index in range(len(points))]
    columns = [list(column) for column in zip(*points, strict=True)]
    kept = history.kept(times, columns, limit)
    assert kept == sorted(set(kept))
    assert len(kept) <= max(limit, 2 + 3 * len(columns))
    assert (kept[0], kept[-1]) == (0, len(points) - 1)
    for column in columns:
        thinned = [column[index] for index in kept]
        assert (None in thinned) == (None in column)
        present = [value for value in column if value is not None]
        if present:
            left = [value for value in thinned if value is not None]
            assert (min(left), max(left)) == (min(present), max(present))


@given(points=st.lists(st.tuples(VALUES, VALUES), min_size=300, max_size=300))
def test_thinning_is_even(points: list[tuple[float | None, ...]]) -> None:
    """Every piece of the whole time keeps points: old ones are not thinned more than new ones."""
    columns = [list(column) for column in zip(*points, strict=True)]
    kept = history.kept(list(range(300)), columns, 62)
    for start in range(0, 300, 30):
        assert any(start <= index < start + 30 for index in kept)


@given(points=st.lists(st.tuples(VALUES, VALUES), max_size=20))
def test_points_are_read_as_written(
    tmp_path_factory: pytest.TempPathFactory, points: list[tuple[float | None, ...]]
) -> None:
    """Header, times with their zone, values and gaps come back, and nothing is corrupt."""
    path = tmp_path_factory.getbasetemp() / "points.csv"
    times = [NOW + timedelta(minutes=index) for index in range(len(points))]
    header = ["run_number:00012345", "Axes: time, value, set point"]
    rows = [history.row((time, *values)) for time, values in zip(times, points, strict=True)]
    history.rewrite(path, header, rows)
    columns = [[point[index] for point in points] for index in range(2)]
    assert history.read(path) == (header, times, columns, 0)


@given(cut=st.integers(0, 200))
def test_a_file_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """After a power failure all whole rows are there, and the half one is not taken for a value."""
    path = tmp_path_factory.getbasetemp() / "cut.csv"
    rows = [history.row((NOW + timedelta(seconds=index), 280.25 + index)) for index in range(5)]
    history.rewrite(path, ["Axes: time, value"], rows)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    _, times, columns, corrupt = history.read(path)
    whole_rows = whole[:cut].count(b"\n") - 1
    assert len(times) == max(0, whole_rows)
    assert columns[0] == [280.25 + index for index in range(len(times))] if columns else not times
    assert corrupt <= 1


def test_rows_of_another_width_are_corrupt(tmp_path: Path) -> None:
    """A row counts only if it has a value, or a gap, for every axis of the header."""
    path = tmp_path / "points.csv"
    path.write_text(
        "# Axes: time, a, b\n2026-01-01T00:00:00,1,2\n2026-01-01T00:00:01,1\nx,1,2\n\n"
        "2026-01-01T00:00:02,None,\n2026-01-01T00:00:03,1,two\n"
    )
    _, times, columns, corrupt = history.read(path)
    assert [time.second for time in times] == [0, 2]
    assert columns == [[1.0, None], [2.0, None]]
    assert corrupt == 4
