"""Restarts leave nothing behind in the IOC. `benchmarks/restarts.py` does 2,000 of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.restarts import restart

GROWTH = 10.0  # MB in 100 restarts; LOG and the allocator's pools fill up in the first ones


def test_restarts_leave_nothing_behind(tmp_path: Path) -> None:
    """After 100 restarts there is no additional descriptor, socket, thread or child."""
    before, after = restart(tmp_path, restarts=100, every=100)
    assert after.rss_mb - before.rss_mb < GROWTH
    assert replace(after, restarts=0, rss_mb=before.rss_mb) == before
