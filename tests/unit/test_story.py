"""What happens to an instance, told from random lives of it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.lifecycle import events as ev
from bgrscrpt_ioc.lifecycle.events import Clock, State
from bgrscrpt_ioc.lifecycle.table import Lifecycle
from bgrscrpt_ioc.script.story import (
    GOING,
    POLICY,
    Happening,
    How,
    Hung,
    RunBegan,
    RunEnded,
    Story,
    WellAgain,
)


class Life:
    """A lifecycle and its story."""

    def __init__(self, policy: ev.Policy | None = None) -> None:
        self.machine, self.story = Lifecycle(policy or ev.Policy(heartbeat_timeout=3.0)), Story()

    def handle(self, *events: ev.Event) -> list[Happening]:
        found: list[Happening] = []
        for event in events:
            self.machine.handle(event)
            found += self.story.seen(event, self.machine)
        return found

    def running(self) -> Life:
        self.handle(ev.StartAsked(1, "a@h"), ev.Began(1))
        return self


def test_a_run_begins_and_is_stopped() -> None:
    """The story says who asked for the beginning and for the end."""
    life = Life()
    assert life.handle(ev.StartAsked(1, "a@h")) == [RunBegan(1, "a@h", 0)]
    assert life.handle(ev.Began(1), ev.StopAsked(2, "b@h")) == []
    (end,) = life.handle(ev.Exited(1, 0, "SIGINT"))
    assert end == RunEnded(1, How.STOPPED, "stopped by b@h", "stopped by b@h")


def test_a_restart_ends_one_run_and_begins_the_next() -> None:
    """A RESTART is no failure of the run that it ends."""
    life = Life().running()
    life.handle(ev.RestartAsked(2, "b@h"), ev.Checked(2))
    end, begin = life.handle(ev.Exited(1, -2, "SIGINT"))
    assert isinstance(end, RunEnded)
    assert (end.how, end.why) == (How.RESTARTED, "restarting for b@h")
    assert begin == RunBegan(2, "b@h", 0)


def test_a_failure_and_the_start_that_follows() -> None:
    """The policy asks for the next run. The reason does not mention it, but the message does."""
    life = Life().running()
    (end,) = life.handle(ev.Exited(1, 1, "exit 1: ValueError: x (s.py:3)"))
    assert end == RunEnded(
        1,
        How.FAILED,
        "exit 1: ValueError: x (s.py:3)",
        "exit 1: ValueError: x (s.py:3); starts again in 1 s",
    )
    assert life.handle(ev.Elapsed(1, Clock.RETRY)) == [RunBegan(2, POLICY, 1)]
    found = life.handle(ev.Began(2), ev.Elapsed(2, Clock.HEALTHY))
    assert found == [WellAgain(2, "it runs well again")]
    assert life.handle(ev.Beat(2)) == []  # said once


def test_the_last_failure_is_final() -> None:
    """If only a user can start the script again, the end of the run says so."""
    life = Life(ev.Policy(start_limit=1)).running()
    (end,) = life.handle(ev.Exited(1, 1, "exit 1"))
    assert isinstance(end, RunEnded)
    assert (end.final, end.why) == (True, "exit 1; gave up after 1 failure")


def test_a_good_end() -> None:
    """Exit code 0 is a good end, even if the script is started again."""
    for policy in (ev.Policy(), ev.Policy(restart="always")):
        (end,) = Life(policy).running().handle(ev.Exited(1, 0, "exit 0"))
        assert isinstance(end, RunEnded)
        assert (end.how, end.why, end.final) == (How.FINISHED, "exit 0", False)


def test_a_healthy_run_that_fails_is_a_failure() -> None:
    """A run that fails after hours is still a failure, and no recovery."""
    life = Life().running()
    life.handle(ev.Elapsed(1, Clock.HEALTHY))
    (end,) = life.handle(ev.Exited(1, 1, "exit 1"))
    assert isinstance(end, RunEnded)
    assert end.how is How.FAILED


def test_a_missed_heartbeat() -> None:
    """It is told once, and so is the recovery. With `restart_when_hung` the run also fails."""
    life = Life().running()
    assert life.handle(ev.Elapsed(1, Clock.HEARTBEAT)) == [Hung(1, "no heartbeat for 3 s")]
    assert life.handle(ev.Beat(1)) == [WellAgain(1, "the heartbeat is back")]
    assert life.handle(ev.Beat(1)) == []
    life = Life(ev.Policy(heartbeat_timeout=3.0, restart_when_hung=True)).running()
    assert life.handle(ev.Elapsed(1, Clock.HEARTBEAT)) == [Hung(1, "no heartbeat for 3 s")]
    assert life.handle(ev.StacksTaken(1)) == []
    (end,) = life.handle(ev.Exited(1, -2, "SIGINT"))
    assert isinstance(end, RunEnded)
    assert (end.how, end.why) == (How.FAILED, "no heartbeat for 3 s")


def test_a_stop_ends_the_trouble() -> None:
    """After a user has stopped a script that failed, its next run is no recovery."""
    life = Life().running()
    life.handle(ev.Exited(1, 1, "exit 1"), ev.StopAsked(2, "b@h"), ev.StartAsked(3, "b@h"))
    assert life.handle(ev.Began(2), ev.Elapsed(2, Clock.HEALTHY)) == []


def test_the_end_of_the_ioc() -> None:
    """The end of the IOC stops the run, and the story says so."""
    (end,) = Life().running().handle(ev.ShutdownAsked(2), ev.Exited(1, -2, "SIGINT"))
    assert isinstance(end, RunEnded)
    assert (end.how, end.why) == (How.STOPPED, "stopped, the IOC is shutting down")


RUNS = st.integers(1, 4)
EVENTS = st.one_of(
    st.builds(ev.StartAsked, st.integers(), st.just("a@h")),
    st.builds(ev.StopAsked, st.integers(), st.just("a@h")),
    st.builds(ev.RestartAsked, st.just(5), st.just("a@h")),
    st.builds(ev.Checked, st.just(5), st.sampled_from(["", "bad"])),
    st.builds(ev.Began, RUNS),
    st.builds(ev.Beat, RUNS),
    st.builds(ev.Exited, RUNS, st.sampled_from([0, 1, -2]), st.just("r"), st.integers(0, 1)),
    st.builds(ev.Cleared, RUNS),
    st.builds(ev.Elapsed, RUNS, st.sampled_from(Clock)),
    st.builds(ev.AutorestartSet, st.booleans()),
)


@given(st.lists(EVENTS, max_size=40))
def test_each_run_begins_once_and_ends_once(events: Sequence[ev.Event]) -> None:
    """Whatever comes, runs 1, 2, ... begin in order, and each ends before the next one begins."""
    life = Life()
    found = life.handle(*events)
    runs = [each for each in found if isinstance(each, (RunBegan, RunEnded))]
    expected = [(kind, run + 1) for run in range(life.machine.run) for kind in (RunBegan, RunEnded)]
    if life.machine.state in GOING:
        expected.pop()
    assert [(type(each), each.run) for each in runs] == expected
    trouble = [type(each) for each in found if isinstance(each, WellAgain | Hung)]
    failed = any(isinstance(each, RunEnded) and each.how is How.FAILED for each in found)
    assert WellAgain not in trouble or failed or Hung in trouble
    assert life.machine.state is not State.BACKOFF or runs[-1].how in (How.FAILED, How.FINISHED)  # pyright: ignore[reportAttributeAccessIssue]
