"""When a new text on disk has settled: editors that write in steps, changes that are undone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.script.onchange import STILL, Settling

GONE = ""


def handled(
    *looks: tuple[str, str], ready: bool = True, every: float = 1.0
) -> list[tuple[int, str]]:
    """Return at which looks (text on disk, text that runs) which text is to be handled."""
    settling = Settling()
    return [
        (at, text)
        for at, (text, running) in enumerate(looks)
        if settling.seen(at * every, text, running, ready=ready)
    ]


def test_a_change_is_handled_when_it_is_still() -> None:
    """A change is handled two seconds after the last change, once."""
    looks = [("a", "a"), ("b", "a"), ("b", "a"), ("b", "a"), ("b", "a")]
    assert handled(*looks) == [(3, "b")]
    assert handled(*[("a", "a")] * 5) == []


def test_an_editor_that_truncates_or_renames() -> None:
    """A partial text, an empty file or a missing file in between is not handled."""
    looks = [
        ("a", "a"),
        ("empty", "a"),
        ("half", "a"),
        (GONE, "a"),
        ("b", "a"),
        ("b", "a"),
        ("b", "a"),
    ]
    assert handled(*looks) == [(6, "b")]
    assert handled(("a", "a"), *[(GONE, "a")] * 5) == []


def test_a_change_that_is_taken_back() -> None:
    """If the old text comes back, that is no change; a later change is one."""
    assert handled(("a", "a"), ("b", "a"), ("a", "a"), ("a", "a"), ("a", "a")) == []
    bad_then_good = [("a", "a"), *[("bad", "a")] * 3, *[("a", "a")] * 3, *[("bad", "a")] * 3]
    assert handled(*bad_then_good) == [(3, "bad"), (9, "bad")]


def test_what_runs_already_is_not_handled() -> None:
    """A text that somebody else has started is not handled."""
    assert handled(("a", "a"), ("b", "a"), ("b", "b"), ("b", "b"), ("b", "b")) == []
    assert handled(("b", "a"), ("b", "a"), ("b", "a")) == [
        (2, "b")
    ]  # changed before the first look
    assert handled(*[("a", "")] * 4) == []  # nothing has ever run


def test_it_waits_while_the_instance_starts_or_stops() -> None:
    """While the instance starts or stops, a change waits and is not lost."""
    settling = Settling()
    settling.seen(0, "a", "a", ready=True)
    assert not any(settling.seen(at, "b", "", ready=False) for at in range(1, 9))
    assert settling.seen(9, "b", "a", ready=True)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["a", "b"]))))
def test_never_too_soon(looks: list[tuple[str, str]]) -> None:
    """A text is handled only if it differs from what runs, exists, and is two seconds old."""
    for at, text in handled(*looks, every=0.5):
        steps = int(STILL / 0.5)
        assert at >= steps
        assert {each[0] for each in looks[at - steps : at + 1]} == {text}
        assert text not in ("", looks[at][1])
