"""The board behind the web page: states, the order of the overview, and the log."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.web.board import Board, ShownValue
from bgrscrpt_ioc.web.scroll import CHARACTERS, CUT, LINES, Scroll
from bgrscrpt_ioc.web.trend import SAMPLES, Trend


def board(**states: tuple[str, str] | None) -> Board:
    """Make a board with an instance for each state; None: the instance's IOC does not answer."""
    made = Board()
    for name, state in states.items():
        shown = made.add(Instance("TE:", name, 5064))
        if state is None:
            made.give_up(shown)
        else:
            made.take(shown, {"STATUS": ShownValue(*state)}, 0.0)
    return made


def test_who_needs_somebody_comes_first() -> None:
    """Failed, hung and silent instances stand above those that run, and these above the rest."""
    made = board(
        A=("Stopped", "NO_ALARM"),
        B=("Running", "NO_ALARM"),
        C=("Running", "MINOR"),
        D=None,
        E=("Running", "MAJOR"),
        F=("Backoff", "MINOR"),
        G=("Failed", "MAJOR"),
    )
    assert [(each.instance.name, each.state) for each in made.sorted()] == [
        ("G", "Failed"), ("E", "Hung"), ("D", "No answer"), ("F", "Backoff"), ("C", "Alarm"),
        ("B", "Running"), ("A", "Stopped"),
    ]  # fmt: skip


def test_an_ioc_that_goes() -> None:
    """When an IOC goes away, its readings are deleted, and the time of the last one is kept."""
    made = board(A=("Running", "NO_ALARM"))
    shown = made.get("TE:A")
    assert shown is not None
    made.take(shown, {"CPU": ShownValue(12.0), "PID": ShownValue(7)}, 1.0)
    made.take(shown, {"STATUS": None, "CPU": None, "PID": None}, 5.0)
    summary = shown.summary(9.0)
    assert (summary["connected"], summary["state"]) == (False, "No answer")
    assert (summary["cpu"], summary["last_seen"]) == (None, 5.0)
    made.take(shown, {"STATUS": ShownValue("Running")}, 10.0)
    assert shown.summary(11.0)["last_seen"] is None


def test_an_ioc_that_is_looked_for() -> None:
    """An instance is Connecting until its IOC had time to answer, and never again."""
    made = board()
    shown = made.add(Instance("TE:", "A", 5064))
    assert (shown.state, made.missing()) == ("Connecting", [])
    made.give_up(shown)
    assert (shown.state, made.missing()) == ("No answer", [shown.instance])
    made.take(shown, {"STATUS": ShownValue("Running")}, 1.0)
    assert (shown.state, made.missing()) == ("Running", [])
    made.take(shown, {"STATUS": None}, 2.0)
    assert (shown.state, made.missing()) == ("No answer", [shown.instance])


def test_links() -> None:
    """Only addresses that a browser opens as a page are shown, whatever an IOC sends."""
    made = board(A=("Running", "NO_ALARM"))
    shown = made.get("TE:A")
    assert shown is not None
    lines = "http://h:8989/ Plot <b>\njavascript:alert(1) Bad\n\nhttps://h/?a=1#b x y\nhttp://h"
    made.take(shown, {"LINKS": ShownValue(lines)}, 0.0)
    assert shown.summary(0.0)["links"] == [
        {"name": "Plot <b>", "url": "http://h:8989/"},
        {"name": "x y", "url": "https://h/?a=1#b"},
    ]
    made.take(shown, {"STATUS": None, "LINKS": None}, 1.0)
    assert shown.summary(1.0)["links"] == []


def test_age_of_a_heartbeat() -> None:
    """The age counts from the last change of HEARTBEAT; without a run there is no age."""
    made = board(A=("Running", "NO_ALARM"))
    shown = made.get("TE:A")
    assert shown is not None
    made.take(shown, {"HEARTBEAT": ShownValue(0)}, 1.0)
    assert shown.summary(2.0)["heartbeat_age"] is None
    made.take(shown, {"HEARTBEAT": ShownValue(1)}, 3.0)
    made.take(shown, {"HEARTBEAT": ShownValue(1)}, 4.0)
    assert shown.summary(5.0)["heartbeat_age"] == 2.0
    made.take(shown, {"PID": ShownValue(0)}, 6.0)
    assert shown.summary(7.0)["heartbeat_age"] is None


def test_names() -> None:
    """An instance is found by its full name, or by its name alone if that is unique."""
    made = board(A=None, B=None)
    made.add(Instance("OTHER:", "B", 5064))
    found = made.get("A")
    assert found is not None
    assert found.instance.full_name == "TE:A"
    assert made.get("B") is None
    assert made.get("TE:B") is not None


@pytest.mark.parametrize("value", [None, "text", True, float("nan"), float("inf")])
def test_what_is_no_number_is_a_gap(value: Any) -> None:
    """A plot has a gap where there was no number, and nothing before the first one."""
    made = board(A=("Running", "NO_ALARM"))
    shown = made.get("TE:A")
    assert shown is not None
    for at, each in enumerate((1.0, value, 2.0)):
        made.take(shown, {"CPU": ShownValue(each)}, float(at))
        made.sample(float(at))
    assert shown.trends["CPU"].points() == [(0.0, 1.0), (1.0, None), (2.0, 2.0)]
    assert "MEMORY" not in shown.trends


def test_a_plot_is_an_hour_long() -> None:
    """Samples that are older than an hour are deleted."""
    trend = Trend()
    for at in range(SAMPLES + 5):
        trend.add(float(at), float(at))
    assert len(trend.points()) == SAMPLES
    assert trend.points()[0] == (5.0, 5.0)


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(6, 12))
def test_the_log_is_complete(steps: list[int], size: int) -> None:
    """Each line is in the scroll once, as long as LOG shows each line."""
    scroll, printed = Scroll(), 0
    for step in steps:
        printed += step
        newest = [f"line {at}" for at in range(max(0, printed - size), printed)]
        scroll.take("\n".join(newest), printed)
    _, lines = scroll.after(0)
    assert [*lines, scroll.open] == ([f"line {at}" for at in range(printed)] or [""])


def test_lines_that_were_missed_are_said() -> None:
    """If LOG has moved on by more than it holds, a line in the scroll says how many are missing."""
    scroll = Scroll()
    scroll.take("a\nb", 2)
    scroll.take("x\ny\nz", 90)
    _, lines = scroll.after(0)
    assert lines[0] == "a"
    assert "came faster than LOG can show" in lines[1] + lines[2]
    assert lines[-2:] == ["x", "y"]
    assert scroll.open == "z"


def test_an_ioc_that_is_started_again() -> None:
    """After a restart of the IOC, the scroll keeps the old lines and says that LOG begins anew."""
    scroll = Scroll()
    scroll.take("a\nb\nc", 3)
    scroll.take("a", 1)
    _, lines = scroll.after(0)
    assert lines == ["a", "b", "--- the IOC was started again ---"]
    assert scroll.open == "a"


def test_the_scroll_is_bounded() -> None:
    """The scroll is limited in lines and characters; the numbers of its lines go on."""
    scroll = Scroll()
    for block in range(LINES // 1000 + 2):
        scroll.take("\n".join(f"{block} {at}" for at in range(1001)), None)
    first, lines = scroll.after(0)
    assert len(lines) == LINES
    assert first == scroll.first > 1
    assert scroll.after(scroll.last)[1] == []
    for at in range(CHARACTERS // CUT + 5):
        scroll.take(f"{at} " + "x" * 2 * CUT + "\nend", None)
    _, lines = scroll.after(0)
    assert sum(map(len, lines)) <= CHARACTERS
    assert max(map(len, lines)) == CUT
