"""The benchmarks: goals are met or missed, and each part has a place on the page."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import PAGE, PARTS, filled
from benchmarks.kit import Row


@pytest.mark.parametrize(
    ("ours", "goal", "against", "verdict"),
    [
        (11.0, "<= 1.1", "", "met"),
        (11.1, "<= 1.1", "", "MISSED"),
        (10.0, ">= 0.5", "C", "met"),
        (9.0, ">= 0.5", "C", "MISSED"),
        (38.0, "<= 38 MB", "", "met"),
        (38.5, "<= 38 MB", "", "MISSED"),
        (38.5, "", "", ""),
    ],
)
def test_a_goal_is_met_or_missed(ours: float, goal: str, against: str, verdict: str) -> None:
    """A goal without a unit is for the ratio to a peer, one with a unit for the figure itself."""
    assert Row("figure", "MB", ours, {"first": 10.0, "C": 20.0}, goal, against).verdict == verdict


def test_every_part_has_its_place_in_the_page() -> None:
    """What `make bench` measures replaces what is between its marks in the page."""
    page = PAGE.read_text("utf-8")
    for part in ("host", *PARTS):
        once = filled(page, part, "first")
        assert "\nfirst\n" in once
        assert filled(once, part, "first") == once
