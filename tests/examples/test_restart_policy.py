"""The watchdog's decisions: when it restarts, when it leaves alone, when it gives up."""

from __future__ import annotations

from collections.abc import Mapping

from general.utilities._restart_policy import (
    Action,
    Reading,
    Restart,
    RestartPolicy,
    Rules,
    Say,
)
from hypothesis import given
from hypothesis import strategies as st

WAIT, LIMIT, IOC = 100.0, 3, "ZFMAGFLD_01"
RULES = Rules("block", (IOC,), ("bad", 2.0), ("INVALID",), WAIT, LIMIT)
WELL, BAD, AWAY = Reading("OK"), Reading("bad"), Reading()
Statuses = Mapping[str, str | None]
UP: Statuses = {IOC: "Running"}
DOWN: Statuses = {IOC: "Shutdown"}
UNKNOWN: Statuses = {IOC: None}


class Watched:
    """A policy, its clock, and what it did."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.policy, self.now = RestartPolicy(rules), 0.0

    def poll(self, reading: Reading, statuses: Statuses = UP) -> list[Action]:
        """One look, 10 s after the last."""
        self.now += 10.0
        return self.policy.step(self.now, reading, statuses)

    def polls(self, seconds: float, reading: Reading, statuses: Statuses = UP) -> list[Action]:
        """Looks for so long that all show the same."""
        return [each for _ in range(int(seconds / 10)) for each in self.poll(reading, statuses)]


def restarts(actions: list[Action]) -> list[str]:
    return [each.ioc for each in actions if isinstance(each, Restart)]


def said(actions: list[Action]) -> list[str]:
    return [each.text for each in actions if isinstance(each, Say)]


@given(
    value=st.one_of(st.text(), st.floats(), st.integers(), st.none()),
    severity=st.sampled_from(["NO_ALARM", "MINOR", "MAJOR", "INVALID"]),
)
def test_what_an_error_is(value: object, severity: str) -> None:
    """A listed value, as text or number, or a listed severity; never a block that nobody serves."""
    listed = value in ("bad", "2.0", 2) or severity == "INVALID"
    assert RULES.in_error(Reading(value, severity)) == (value is not None and listed)


def test_numbers_as_text() -> None:
    """ISIS's script takes error states as text: a number is found as it is printed."""
    assert Rules("block", (IOC,), ("2",)).in_error(Reading(2))
    assert RULES.in_error(Reading(2))


def test_an_ioc_that_is_restarted_and_well_again() -> None:
    """One line for each event: well, the restart, well again; and none for each poll."""
    watched = Watched()
    assert said(watched.polls(50, WELL)) == ["block is 'OK'"]
    assert watched.poll(Reading("bad", "INVALID")) == [
        Say("block is 'bad' (INVALID): restarting ZFMAGFLD_01, 1 of 3"),
        Restart(IOC),
    ]
    assert watched.polls(20, AWAY, DOWN) == []
    assert watched.polls(20, AWAY) == []
    assert watched.polls(300, WELL) == [
        Say("ZFMAGFLD_01 back online after 1 restart: block is 'OK'")
    ]
    assert watched.policy.restarts == 1


def test_a_block_that_is_bad_again_too_soon() -> None:
    """It says so once, and restarts no sooner than the wait after the last restart."""
    watched = Watched()
    watched.poll(BAD)
    watched.polls(30, WELL)
    assert watched.polls(60, BAD) == [Say("block is 'bad' again")]
    assert watched.poll(BAD)[1:] == [Restart(IOC)]


def test_a_block_that_is_well_while_its_ioc_is_not_online() -> None:
    """A restart has not helped before the IOC is online, whatever the block shows."""
    watched = Watched()
    watched.poll(BAD)
    assert watched.polls(50, WELL, {IOC: "procServ Stopped"}) == []
    assert watched.policy.recovering
    assert watched.polls(60, WELL, {IOC: "procServ Stopped"}) == [
        Say("block is 'OK', but ZFMAGFLD_01 is 'procServ Stopped': restarting ZFMAGFLD_01, 2 of 3"),
        Restart(IOC),
    ]


def test_it_gives_up_and_begins_again() -> None:
    """After the limit one alarm and no restart; once well for the wait, restarts are possible."""
    watched = Watched()
    actions = watched.polls(2000, BAD)
    assert restarts(actions) == [IOC] * LIMIT
    alarms = [each.text for each in actions if isinstance(each, Say) and each.alarm]
    assert alarms == [
        "block is 'bad' after 3 restarts of ZFMAGFLD_01: gave up, somebody has to look"
    ]
    assert restarts(watched.polls(50, WELL) + watched.polls(500, BAD)) == []  # a moment is no cure
    assert restarts(watched.polls(110, WELL)) == []
    assert restarts(watched.poll(BAD)) == [IOC]


def test_a_disconnection_of_its_own() -> None:
    """One that no restart of ours made is no restart's success when it is over."""
    watched = Watched()
    watched.poll(BAD)
    watched.polls(30, WELL)
    assert said(watched.polls(30, AWAY)) == ["block: no such block, or not connected"]
    assert said(watched.polls(30, WELL)) == ["block is 'OK'"]


def test_an_ioc_that_does_not_come_back() -> None:
    """A block that is still away after the wait is a restart that has not helped."""
    watched = Watched()
    watched.poll(BAD)
    actions = watched.polls(100, AWAY)
    assert said(actions) == ["block is not connected: restarting ZFMAGFLD_01, 2 of 3"]
    assert restarts(actions) == [IOC]


def test_a_block_that_nobody_serves() -> None:
    """An unknown or disconnected block is said once and restarts nothing."""
    watched = Watched()
    assert watched.polls(1000, AWAY, UNKNOWN) == [Say("block: no such block, or not connected")]
    assert said(watched.polls(1000, WELL)) == ["block is 'OK'"]
    assert said(watched.polls(1000, AWAY)) == ["block: no such block, or not connected"]


def test_an_ioc_that_somebody_has_stopped() -> None:
    """It is left alone, whatever its block shows; started again, it has the wait to be well."""
    watched = Watched()
    stopped = ["block is 'bad'; ZFMAGFLD_01 shut down: left alone"]
    actions = watched.polls(1000, BAD, DOWN)
    assert (said(actions), restarts(actions)) == (stopped, [])
    assert restarts(watched.polls(90, BAD)) == []
    assert restarts(watched.polls(20, BAD)) == [IOC]


def test_without_procserv_control() -> None:
    """Where STATUS does not answer, the block alone tells."""
    watched = Watched()
    assert restarts(watched.poll(BAD, UNKNOWN)) == [IOC]
    assert said(watched.poll(WELL, UNKNOWN)) == [
        "ZFMAGFLD_01 back online after 1 restart: block is 'OK'"
    ]


def test_of_several_iocs_those_that_run() -> None:
    """All are restarted but those that somebody has stopped."""
    rules = Rules("block", ("A", "B", "C"), ("bad",), (), WAIT, LIMIT)
    statuses: Statuses = {"A": "Running", "B": "Shutdown", "C": None}
    assert restarts(Watched(rules).poll(BAD, statuses)) == ["A", "C"]


READINGS = st.sampled_from([WELL, BAD, AWAY, Reading("OK", "INVALID"), Reading("OK", "MINOR")])
STATUSES = st.sampled_from([UP, DOWN, UNKNOWN, {IOC: "procServ Stopped"}])
POLLS = st.lists(st.tuples(st.floats(0.1, 60), READINGS, STATUSES, st.integers(1, 20)), max_size=40)


@given(POLLS)
def test_whatever_comes(polls: list[tuple[float, Reading, Statuses, int]]) -> None:
    """Restarts are `wait` apart, no more than the limit without a cure, none without an error."""
    policy, now = RestartPolicy(RULES), 0.0
    last_restart = well_since = None
    in_a_row = total = 0
    had_error = False
    for step, reading, statuses, times in polls:
        for _ in range(times):
            now += step
            had_error |= RULES.in_error(reading)
            if reading.value is None or RULES.in_error(reading):
                well_since = None
            else:
                well_since = now if well_since is None else well_since
                if now - well_since >= WAIT:
                    in_a_row = 0
            actions = policy.step(now, reading, statuses)
            if restarts(actions):
                assert had_error
                assert statuses != DOWN
                assert last_restart is None or now - last_restart >= WAIT
                last_restart = now
                total += 1
                in_a_row += 1
                assert in_a_row <= LIMIT
            assert policy.restarts == total


@given(POLLS, READINGS, STATUSES)
def test_nothing_new_is_nothing_said(
    polls: list[tuple[float, Reading, Statuses, int]],
    reading: Reading,
    statuses: Statuses,
) -> None:
    """From whatever state: what does not change is said with each restart, and at most 3 more."""
    policy, now = RestartPolicy(RULES), 0.0
    for step, before, their, times in polls:
        for _ in range(times):
            now += step
            policy.step(now, before, their)
    actions: list[Action] = []
    for _ in range(1000):
        now += 10
        actions += policy.step(now, reading, statuses)
    assert len(said(actions)) <= len(restarts(actions)) + 3
