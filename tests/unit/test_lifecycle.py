"""The lifecycle, event by event, and then under every interleaving hypothesis can think of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from bgrscrpt_ioc.lifecycle import events as ev
from bgrscrpt_ioc.lifecycle.events import Clock, Severity, Sign, State
from bgrscrpt_ioc.lifecycle.table import TABLE, TAKE, Lifecycle

POLICY = ev.Policy(heartbeat_timeout=3.0)


def running(policy: ev.Policy = POLICY) -> Lifecycle:
    m = Lifecycle(policy)
    m.handle(ev.StartAsked(1, "a@h"))
    m.handle(ev.Began(1))
    assert m.state is State.RUNNING
    return m


def completions(effects: list[ev.Effect]) -> dict[int, str]:
    return {e.ticket: e.failure for e in effects if isinstance(e, ev.Complete)}


def test_every_state_answers_every_event() -> None:
    """The table has an entry for each pair of state and event, and each state takes commands."""
    events = set(ev.Event.__args__)
    assert {state: set(row) for state, row in TABLE.items()} == dict.fromkeys(State, events)
    assert set(TAKE) == set(State)


def test_start_completes_when_running() -> None:
    """START launches a run and completes at the script's first line, not before."""
    m = Lifecycle()
    effects = m.handle(ev.StartAsked(7, "alice@ndw"))
    assert ev.Spawn(1) in effects
    assert completions(effects) == {}
    assert (m.state, m.message) == (State.STARTING, "started by alice@ndw")
    assert completions(m.handle(ev.Began(1))) == {7: ""}
    assert m.state is State.RUNNING


def test_start_of_a_running_script_is_done_at_once() -> None:
    """START when Running succeeds and launches nothing."""
    m = running()
    assert m.handle(ev.StartAsked(2, "b@h")) == [ev.Complete(2)]


def test_exit_zero_is_finished() -> None:
    """A script that ends with exit code 0 is Finished and stays so."""
    m = running()
    m.handle(ev.Exited(1, 0, "exit 0"))
    assert (m.state, m.message, m.severity) == (State.FINISHED, "exit 0", Severity.NO_ALARM)


def test_exit_zero_with_restart_always_starts_again() -> None:
    """With restart = "always", a script that ends well is started again after `backoff`."""
    m = running(ev.Policy(restart="always", backoff=2.5))
    assert ev.SetTimer(1, Clock.RETRY, 2.5) in m.handle(ev.Exited(1, 0, "exit 0"))
    assert ev.Spawn(2) in m.handle(ev.Elapsed(1, Clock.RETRY))
    assert m.automatic


def test_failures_back_off_doubling_and_end_in_failed() -> None:
    """Delays double up to `backoff_max`; the last failure that the limit allows is final."""
    m = running(ev.Policy(backoff=1.0, backoff_max=3.0, start_limit=5))
    delays = []
    for run in range(1, 5):
        m.handle(ev.Exited(run, 1, "exit 1"))
        assert (m.state, m.severity) == (State.BACKOFF, Severity.MINOR)
        delays.append(m.retry_delay)
        m.handle(ev.Elapsed(run, Clock.RETRY))
    m.handle(ev.Exited(5, 1, "exit 1"))
    assert delays == [1.0, 2.0, 3.0, 3.0]
    assert (m.state, m.severity) == (State.FAILED, Severity.MAJOR)
    assert m.message == "exit 1; gave up after 5 failures in a row"


def test_start_limit_zero_never_gives_up() -> None:
    """With start_limit = 0 a script that fails for months is still started again."""
    m = running(ev.Policy(start_limit=0))
    m.failures = 10**6
    m.handle(ev.Exited(1, 1, "exit 1"))
    assert (m.state, m.retry_delay) == (State.BACKOFF, 60.0)


def test_a_healthy_run_forgets_failures() -> None:
    """After `healthy_after` of Running the failures before it do not count any more."""
    m = running()
    m.failures = 3
    m.handle(ev.Elapsed(1, Clock.HEALTHY))
    assert (m.failures, m.healthy) == (0, True)


def test_healthy_after_zero_is_at_once() -> None:
    """With healthy_after = 0 a run is healthy from its first line."""
    assert running(ev.Policy(healthy_after=0)).healthy


@pytest.mark.parametrize(("restart", "autorestart"), [("never", True), ("on-failure", False)])
def test_failed_at_once_without_autorestart(restart: str, autorestart: bool) -> None:
    """With AUTORESTART off, a failure leads to Failed at once."""
    m = running(dataclasses.replace(POLICY, restart=restart))
    m.handle(ev.AutorestartSet(autorestart))
    m.handle(ev.Exited(1, -11, "SIGSEGV"))
    assert (m.state, m.message) == (State.FAILED, "SIGSEGV")


def test_autorestart_off_ends_a_backoff() -> None:
    """Switching AUTORESTART off while a retry is due cancels it: Failed."""
    m = running()
    m.handle(ev.Exited(1, 1, "exit 1"))
    m.handle(ev.AutorestartSet(on=True))
    assert m.state is State.BACKOFF
    assert ev.CancelTimer(Clock.RETRY) in m.handle(ev.AutorestartSet(on=False))
    assert (m.state, m.message) == (State.FAILED, "exit 1; autorestart is off")


def test_start_fails_when_the_script_ends_before_its_first_line() -> None:
    """START fails with the reason when the run ends while Starting, even with exit code 0."""
    m = Lifecycle()
    m.handle(ev.StartAsked(1, "a@h"))
    reason = "exit 0 before the script's first line"
    assert completions(m.handle(ev.Exited(1, 0, reason))) == {1: reason}
    assert m.state is State.BACKOFF


def test_start_timeout() -> None:
    """A run that does not reach its first line in `start_timeout` is stopped and has failed."""
    m = Lifecycle(ev.Policy(start_timeout=9))
    assert ev.SetTimer(1, Clock.START, 9) in m.handle(ev.StartAsked(1, "a@h"))
    assert ev.Signal(1, Sign.INTERRUPT) in m.handle(ev.Elapsed(1, Clock.START))
    completed = completions(m.handle(ev.Exited(1, 0, "exit 0")))
    assert completed[1].startswith("not started within 9 s")
    assert m.state is State.BACKOFF


def test_stop_escalates() -> None:
    """STOP sends SIGINT, then SIGTERM, then SIGKILL, and completes when the run is over."""
    m = running()
    assert ev.Signal(1, Sign.INTERRUPT) in m.handle(ev.StopAsked(2, "a@h"))
    assert ev.Signal(1, Sign.TERMINATE) in m.handle(ev.Elapsed(1, Clock.STOP))
    assert ev.Signal(1, Sign.KILL) in m.handle(ev.Elapsed(1, Clock.STOP))
    assert completions(m.handle(ev.Exited(1, -9, "SIGKILL"))) == {2: ""}
    assert (m.state, m.message, m.wanted) == (State.STOPPED, "stopped by a@h", False)


def test_stop_waits_for_the_whole_tree() -> None:
    """When the script goes at SIGINT but leaves processes, those get SIGTERM at once."""
    m = running()
    m.handle(ev.StopAsked(2, "a@h"))
    assert ev.Signal(1, Sign.TERMINATE) in m.handle(ev.Exited(1, 0, "exit 0", survivors=2))
    assert m.state is State.STOPPING
    assert m.handle(ev.Exited(1, 0, "exit 0", survivors=2)) == []
    assert completions(m.handle(ev.Cleared(1))) == {2: ""}
    assert m.state is State.STOPPED


def test_unkillable_process_fails_the_commands_and_keeps_trying() -> None:
    """What survives SIGKILL fails the waiting puts; SIGKILL is repeated, STATUS stays Stopping."""
    m = running()
    m.handle(ev.StopAsked(2, "a@h"))
    for _ in range(2):
        m.handle(ev.Elapsed(1, Clock.STOP))
    effects = m.handle(ev.Elapsed(1, Clock.STOP))
    assert "SIGKILL" in completions(effects)[2]
    assert ev.Signal(1, Sign.KILL) in effects
    assert m.state is State.STOPPING
    m.handle(ev.Exited(1, -9, "SIGKILL"))
    assert m.state is State.STOPPED


def test_survivors_of_a_natural_end_are_ended() -> None:
    """A script that ends and leaves processes is Stopping until they are gone, then judged."""
    m = running()
    assert ev.Signal(1, Sign.TERMINATE) in m.handle(ev.Exited(1, 0, "exit 0", survivors=1))
    assert (m.state, m.message) == (State.STOPPING, "exit 0; ending 1 process that it left")
    m.handle(ev.Cleared(1))
    assert (m.state, m.message) == (State.FINISHED, "exit 0; 1 process that it left was ended")


def test_what_a_failed_run_has_left_is_told_too() -> None:
    """A failure says how many processes were ended; the reason that is kept does not repeat it."""
    m = running()
    m.handle(ev.Exited(1, 1, "exit 1", survivors=3))
    m.handle(ev.Cleared(1))
    assert m.message == "exit 1; 3 processes that it left were ended; starts again in 1 s"
    m.handle(ev.Elapsed(1, Clock.RETRY))
    assert m.message == "exit 1; started again"


REASON = "exit 1: ValueError: one; two; three (script.py:1)"


def test_a_reason_with_semicolons_is_kept_whole() -> None:
    """An exception's text with semicolons is kept whole in the reason of a failure."""
    m = running()
    m.handle(ev.Exited(1, 1, REASON))
    assert m.message == f"{REASON}; starts again in 1 s"
    m.handle(ev.Elapsed(1, Clock.RETRY))
    assert m.message == f"{REASON}; started again"
    m.handle(ev.Began(2))
    m.handle(ev.Exited(2, 1, REASON))
    m.handle(ev.AutorestartSet(on=False))
    assert m.message == f"{REASON}; autorestart is off"


def test_cleared_before_exited_means_nothing() -> None:
    """A report that no process lives, before the report of the exit, does not end the run."""
    m = running()
    m.handle(ev.StopAsked(2, "a@h"))
    assert m.handle(ev.Cleared(1)) == []
    assert m.state is State.STOPPING


def test_restart_checks_before_it_kills() -> None:
    """RESTART has the script checked first; then it stops the run and starts the next."""
    m = running()
    assert m.handle(ev.RestartAsked(2, "a@h")) == [ev.Check(2)]
    assert m.state is State.RUNNING
    assert ev.Signal(1, Sign.INTERRUPT) in m.handle(ev.Checked(2))
    assert ev.Spawn(2) in m.handle(ev.Exited(1, 0, "exit 0"))
    assert completions(m.handle(ev.Began(2))) == {2: ""}
    assert m.message == "restarted by a@h"


def test_restart_with_a_bad_script_leaves_the_good_one() -> None:
    """RESTART with a script that does not compile fails and leaves the run alone."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    effects = m.handle(ev.Checked(2, "SyntaxError: bad (x.py:1)"))
    assert completions(effects) == {2: m.message}
    assert "SyntaxError" in m.message
    assert m.state is State.RUNNING
    assert m.handle(ev.Checked(2)) == []


def test_restart_of_a_script_that_ends_meanwhile() -> None:
    """When the run fails while its RESTART is checked, a good check launches the next one."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    assert completions(m.handle(ev.Exited(1, 1, "exit 1"))) == {}
    assert ev.Spawn(2) in m.handle(ev.Checked(2))
    assert completions(m.handle(ev.Began(2))) == {2: ""}


def test_restart_during_an_automatic_start_waits_for_its_check() -> None:
    """The first line of an automatic start does not complete a RESTART that is being checked."""
    m = running()
    m.handle(ev.Exited(1, 1, "exit 1"))
    m.handle(ev.Elapsed(1, Clock.RETRY))
    m.handle(ev.RestartAsked(2, "a@h"))
    assert completions(m.handle(ev.Began(2))) == {}
    m.handle(ev.Exited(2, 0, "exit 0", survivors=1))
    m.handle(ev.Checked(2))
    assert ev.Spawn(3) in m.handle(ev.Cleared(2))


def test_start_waits_for_a_run_that_goes_down() -> None:
    """START while survivors of an ended run are being killed launches when they are gone."""
    m = running()
    m.handle(ev.Exited(1, 1, "exit 1", survivors=1))
    assert m.handle(ev.StartAsked(2, "a@h")) == []
    assert ev.Spawn(2) in m.handle(ev.Cleared(1))


def test_restart_of_an_unkillable_run_fails_and_policy_decides() -> None:
    """When the old run cannot be killed in time RESTART fails; its late end is a failure."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    m.handle(ev.Checked(2))
    escalation = [m.handle(ev.Elapsed(1, Clock.STOP)) for _ in range(3)]
    assert 2 in completions(escalation[-1])
    m.handle(ev.Exited(1, -9, "SIGKILL"))
    assert m.state is State.BACKOFF


def test_commands_wait_in_order() -> None:
    """Commands complete in the order they came: RESTART, then the START behind it."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    m.handle(ev.StartAsked(3, "b@h"))
    m.handle(ev.Checked(2))
    m.handle(ev.Exited(1, 0, "exit 0"))
    done = [e.ticket for e in m.handle(ev.Began(2)) if isinstance(e, ev.Complete)]
    assert done == [2, 3]


def test_stop_preempts_what_waits() -> None:
    """STOP fails the active RESTART and the START in the queue, and wins."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    m.handle(ev.StartAsked(3, "b@h"))
    failed = completions(m.handle(ev.StopAsked(4, "c@h")))
    assert failed == {2: "STOP by c@h came first", 3: "STOP by c@h came first"}
    assert m.handle(ev.Checked(2)) == []
    assert completions(m.handle(ev.Exited(1, 0, "exit 0"))) == {4: ""}
    assert m.state is State.STOPPED


def test_stop_of_a_restart_under_way() -> None:
    """STOP while a RESTART is taking the old run down: no new run."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    m.handle(ev.Checked(2))
    assert 2 in completions(m.handle(ev.StopAsked(3, "b@h")))
    m.handle(ev.StartAsked(4, "c@h"))
    effects = m.handle(ev.Exited(1, 0, "exit 0"))
    assert effects.index(ev.Complete(3)) < effects.index(ev.Spawn(2))


def test_stop_acknowledges_a_failure() -> None:
    """STOP of a Failed or Backoff script leaves it Stopped, without an alarm or a retry."""
    m = running()
    m.handle(ev.Exited(1, 1, "exit 1"))
    effects = m.handle(ev.StopAsked(2, "a@h"))
    assert ev.CancelTimer(Clock.RETRY) in effects
    assert (m.state, m.message) == (State.STOPPED, "stopped by a@h")
    assert m.handle(ev.Elapsed(1, Clock.RETRY)) == []


def test_stop_of_a_stopped_script_succeeds() -> None:
    """STOP with nothing to stop is a success and changes nothing."""
    m = Lifecycle()
    assert completions(m.handle(ev.StopAsked(1, "a@h"))) == {1: ""}
    assert m.message == "never started"


def test_missed_heartbeat_is_a_major_alarm() -> None:
    """A Running script that misses its heartbeat is in MAJOR alarm until it beats again."""
    m = running()
    m.handle(ev.Elapsed(1, Clock.HEARTBEAT))
    assert (m.state, m.severity) == (State.RUNNING, Severity.MAJOR)
    assert m.message == "no heartbeat for 3 s"
    assert m.handle(ev.Beat(1)) == [ev.SetTimer(1, Clock.HEARTBEAT, 3.0)]
    assert (m.severity, m.message) == (Severity.NO_ALARM, "the heartbeat is back")


def test_hung_script_is_restarted_when_asked_for() -> None:
    """With restart_when_hung a missed heartbeat is a failure, once its stacks are kept."""
    m = running(ev.Policy(heartbeat_timeout=3.0, restart_when_hung=True))
    why = "no heartbeat for 3 s"
    assert m.handle(ev.Elapsed(1, Clock.HEARTBEAT)) == [ev.TakeStacks(1, why)]
    assert ev.Signal(1, Sign.INTERRUPT) in m.handle(ev.StacksTaken(1))
    m.handle(ev.Exited(1, 0, "exit 0"))
    assert (m.state, m.message) == (State.BACKOFF, f"{why}; starts again in 1 s")


@pytest.mark.parametrize("restart", [True, False])
def test_a_heartbeat_while_the_stacks_are_taken(restart: bool) -> None:
    """A run whose heartbeat is back, or that is not to be restarted, is not stopped."""
    m = running(ev.Policy(heartbeat_timeout=3.0, restart_when_hung=restart))
    m.handle(ev.Elapsed(1, Clock.HEARTBEAT))
    if restart:
        m.handle(ev.Beat(1))
    assert m.handle(ev.StacksTaken(1)) == []
    assert m.state is State.RUNNING


def test_the_death_of_a_thread_is_a_minor_alarm() -> None:
    """A run of which a thread has died is in MINOR alarm to its end, and says which."""
    m = running()
    m.handle(ev.PartDied(1, "thread A died: KeyError"))
    assert (m.state, m.severity) == (State.RUNNING, Severity.MINOR)
    assert m.message == "thread A died: KeyError"
    m.handle(ev.Elapsed(1, Clock.HEARTBEAT))
    assert m.severity is Severity.MAJOR
    assert m.message == "no heartbeat for 3 s; thread A died: KeyError"
    m.handle(ev.PartDied(1, "thread B died"))
    assert m.message == "no heartbeat for 3 s; thread B died"
    m.handle(ev.Beat(1))
    assert m.message == "the heartbeat is back; thread B died"
    assert m.severity is Severity.MINOR
    m.handle(ev.Exited(1, 1, "exit 1"))
    m.handle(ev.Elapsed(1, Clock.RETRY))
    m.handle(ev.Began(2))
    assert m.severity is Severity.NO_ALARM


def test_the_death_of_a_thread_as_a_failure() -> None:
    """With thread_death = "fail" the run is stopped gracefully, and has failed."""
    m = running(ev.Policy(thread_death="fail"))
    assert ev.Signal(1, Sign.INTERRUPT) in m.handle(ev.PartDied(1, "thread A died"))
    assert m.message == "thread A died; ending the run"
    assert m.handle(ev.PartDied(1, "thread B died")) == []  # as it is being stopped
    m.handle(ev.Exited(1, 0, "exit 0"))
    assert (m.state, m.message) == (State.BACKOFF, "thread A died; starts again in 1 s")


def test_the_death_of_a_thread_ignored() -> None:
    """With thread_death = "ignore", the death of a thread changes nothing."""
    m = running(ev.Policy(thread_death="ignore"))
    before = dataclasses.replace(m)
    assert m.handle(ev.PartDied(1, "thread A died")) == []
    assert m == before


@pytest.mark.parametrize(
    ("state", "clock"),
    [
        (State.STARTING, Clock.HEALTHY),
        (State.RUNNING, Clock.START),
        (State.STOPPING, Clock.HEALTHY),
        (State.BACKOFF, Clock.HEALTHY),
    ],
)
def test_timer_of_another_state_means_nothing(state: State, clock: Clock) -> None:
    """A timer that runs out after its state has passed changes nothing."""
    m = Lifecycle(state=state, run=1, sign=Sign.INTERRUPT)
    assert m.handle(ev.Elapsed(1, clock)) == []
    assert m.state is state


def test_shutdown_stops_and_refuses() -> None:
    """At the IOC's end the run is stopped, what waits fails, and nothing starts any more."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    effects = m.handle(ev.ShutdownAsked(3))
    assert completions(effects) == {2: "the IOC is shutting down"}
    assert completions(m.handle(ev.Exited(1, 0, "exit 0"))) == {3: ""}
    assert (m.state, m.wanted) == (State.STOPPED, True)
    assert completions(m.handle(ev.StartAsked(4, "a@h"))) == {4: "the IOC is shutting down"}


def test_an_instance_that_is_removed_says_so() -> None:
    """Commands that wait for an instance that is removed fail, with the reason of the removal."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    assert completions(m.handle(ev.ShutdownAsked(3, "removed"))) == {2: "removed"}
    assert m.message == "stopped, removed"
    assert completions(m.handle(ev.StartAsked(4, "a@h"))) == {4: "removed"}


def test_another_policy_decides_what_comes_next() -> None:
    """In each state, a new policy holds from the next decision on, and changes nothing else."""
    m = running()
    assert m.handle(ev.PolicySet(dataclasses.replace(POLICY, restart="never"))) == []
    assert m.state is State.RUNNING
    m.handle(ev.Exited(1, 1, "exit 1"))
    assert (m.state, m.message) == (State.FAILED, "exit 1")


def test_a_policy_without_restarts_ends_a_backoff() -> None:
    """A new policy keeps a retry that is due, unless it allows no restart: then Failed."""
    m = running()
    m.handle(ev.Exited(1, 1, "exit 1"))
    assert m.handle(ev.PolicySet(ev.Policy(backoff=9, backoff_max=9))) == []
    assert (m.state, m.retry_delay) == (State.BACKOFF, 1.0)
    assert m.handle(ev.PolicySet(ev.Policy(restart="never"))) == [ev.CancelTimer(Clock.RETRY)]
    assert (m.state, m.message) == (State.FAILED, "exit 1; restart is never")


def test_another_heartbeat_timeout_holds_at_once() -> None:
    """A running script has all of the new `heartbeat_timeout`, also one that hung; 0: no limit."""
    m = running()
    m.handle(ev.Elapsed(1, Clock.HEARTBEAT))
    assert m.hung
    effects = m.handle(ev.PolicySet(ev.Policy(heartbeat_timeout=9)))
    assert effects == [ev.CancelTimer(Clock.HEARTBEAT), ev.SetTimer(1, Clock.HEARTBEAT, 9)]
    assert (m.hung, m.severity, m.message) == (
        False,
        Severity.NO_ALARM,
        "heartbeat_timeout has changed",
    )
    assert m.handle(ev.PolicySet(ev.Policy())) == [ev.CancelTimer(Clock.HEARTBEAT)]


def test_shutdown_of_what_does_not_run() -> None:
    """At the IOC's end a retry is cancelled; a Failed script stays Failed."""
    m = running()
    m.handle(ev.Exited(1, 1, "exit 1"))
    effects = m.handle(ev.ShutdownAsked(2))
    assert ev.CancelTimer(Clock.RETRY) in effects
    assert m.state is State.STOPPED
    failed = Lifecycle(state=State.FAILED)
    failed.handle(ev.ShutdownAsked(2))
    assert failed.state is State.FAILED


def test_shutdown_while_stopping() -> None:
    """At the IOC's end, a run that is stopping is waited for, and no new run follows."""
    m = running()
    m.handle(ev.RestartAsked(2, "a@h"))
    m.handle(ev.Checked(2))
    assert 2 in completions(m.handle(ev.ShutdownAsked(3)))
    assert completions(m.handle(ev.Exited(1, 0, "exit 0"))) == {3: ""}
    assert m.state is State.STOPPED


class Interleavings(RuleBasedStateMachine):
    """Random commands, exits, timers and late events, against a model of the processes."""

    def __init__(self) -> None:
        super().__init__()
        self.ticket = 0
        self.waiting: set[int] = set()
        self.live: set[int] = set()  # runs of which some process lives
        self.leaderless: set[int] = set()  # of those, the script's own process is gone
        self.checks: set[int] = set()
        self.timers: dict[Clock, int] = {}
        self.user_stopped = False  # a STOP was the last thing that a user said
        self.signalled: set[int] = set()
        self.bad: set[int] = set()  # RESTARTs whose check failed

    @initialize(
        restart=st.sampled_from(["on-failure", "always", "never"]),
        limit=st.integers(0, 3),
        heartbeat=st.sampled_from([0.0, 1.0]),
        hung=st.booleans(),
        death=st.sampled_from(["alarm", "fail", "ignore"]),
    )
    def create(self, restart: str, limit: int, heartbeat: float, hung: bool, death: Any) -> None:
        self.m = Lifecycle(
            ev.Policy(
                restart=restart,  # pyright: ignore[reportArgumentType] - drawn from the literals
                start_limit=limit,
                heartbeat_timeout=heartbeat,
                restart_when_hung=hung,
                thread_death=death,
            )
        )
        self.stacks: set[int] = set()  # runs whose stacks are being taken

    def take(self, event: ev.Event) -> list[ev.Effect]:
        effects = self.m.handle(event)
        for effect in effects:
            match effect:
                case ev.Spawn(run):
                    assert not self.live, "two live runs"
                    assert not self.user_stopped, "an automatic start after a user's STOP"
                    self.live.add(run)
                case ev.Check(ticket):
                    self.checks.add(ticket)
                case ev.Signal(run, _):
                    assert run in self.live
                    self.signalled.add(run)
                case ev.TakeStacks(run, _):
                    assert run in self.live
                    self.stacks.add(run)
                case ev.SetTimer(run, clock, _):
                    self.timers[clock] = run
                case ev.CancelTimer(clock):
                    self.timers.pop(clock, None)
                case ev.Complete(ticket, _):
                    assert ticket in self.waiting, "completed twice, or never accepted"
                    self.waiting.remove(ticket)
        return effects

    def new_ticket(self) -> int:
        self.ticket += 1
        self.waiting.add(self.ticket)
        return self.ticket

    @rule()
    def start(self) -> None:
        self.user_stopped = False
        self.take(ev.StartAsked(self.new_ticket(), "u@h"))

    @rule()
    def restart(self) -> None:
        self.user_stopped = False
        self.take(ev.RestartAsked(self.new_ticket(), "u@h"))

    @rule()
    def stop(self) -> None:
        self.user_stopped = True
        self.take(ev.StopAsked(self.new_ticket(), "u@h"))

    @rule(on=st.booleans())
    def autorestart(self, on: bool) -> None:
        self.take(ev.AutorestartSet(on))

    @rule(
        restart=st.sampled_from(["on-failure", "always", "never"]),
        heartbeat=st.sampled_from([0.0, 1.0, 3.0]),
    )
    def policy(self, restart: Any, heartbeat: float) -> None:
        before = self.m.state
        self.take(
            ev.PolicySet(
                dataclasses.replace(self.m.policy, restart=restart, heartbeat_timeout=heartbeat)
            )
        )
        assert self.m.state in (before, State.FAILED), "a setting has started or stopped a run"

    @precondition(lambda self: self.checks)
    @rule(good=st.booleans(), data=st.data())
    def check_done(self, good: bool, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.checks)))
        self.checks.remove(ticket)
        before = self.m.state, set(self.signalled)
        self.take(ev.Checked(ticket, "" if good else "SyntaxError"))
        if not good:
            waits = self.m.active is not None or self.m.queue
            assert waits or (self.m.state, self.signalled) == before, "a bad script did harm"

    @precondition(lambda self: self.live - self.leaderless)
    @rule()
    def begin(self) -> None:
        (run,) = self.live
        self.take(ev.Began(run))

    @precondition(lambda self: self.live - self.leaderless)
    @rule(code=st.sampled_from([0, 1, -9]), survivors=st.integers(0, 2))
    def exit(self, code: int, survivors: int) -> None:
        (run,) = self.live
        if survivors:
            self.leaderless.add(run)
        else:
            self.live.remove(run)
        self.take(ev.Exited(run, code, f"exit {code}", survivors))

    @precondition(lambda self: self.live & self.leaderless)
    @rule()
    def clear(self) -> None:
        (run,) = self.live
        self.live.remove(run)
        self.leaderless.clear()
        self.take(ev.Cleared(run))

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        clock = data.draw(st.sampled_from(sorted(self.timers, key=str)))
        self.take(ev.Elapsed(self.timers.pop(clock), clock))

    @precondition(lambda self: self.m.run > 1)
    @rule(
        data=st.data(),
        late=st.sampled_from(
            [
                ev.Began,
                ev.Beat,
                ev.Cleared,
                ev.StacksTaken,
                lambda run: ev.PartDied(run, "thread A died"),
                lambda run: ev.Exited(run, 1, "exit 1"),
                lambda run: ev.Elapsed(run, Clock.RETRY),
            ]
        ),
    )
    def late_event_of_an_earlier_run(self, data: st.DataObject, late: Any) -> None:
        run = data.draw(st.integers(1, self.m.run - 1))
        before = dataclasses.replace(self.m)
        assert self.take(late(run)) == []
        assert before == self.m

    @precondition(lambda self: self.m.state is State.RUNNING)
    @rule()
    def heartbeat(self) -> None:
        self.take(ev.Beat(self.m.run))

    @precondition(lambda self: self.stacks)
    @rule()
    def stacks_taken(self) -> None:
        self.take(ev.StacksTaken(self.stacks.pop()))

    @precondition(lambda self: self.live - self.leaderless)
    @rule()
    def thread_dies(self) -> None:
        (run,) = self.live
        self.take(ev.PartDied(run, "thread A died"))

    @invariant()
    def backoff_always_has_a_timer(self) -> None:
        if self.m.state is State.BACKOFF:
            assert self.timers.get(Clock.RETRY) == self.m.run
        else:
            assert Clock.RETRY not in self.timers

    @invariant()
    def state_tells_whether_something_lives(self) -> None:
        alive = self.m.state in (State.STARTING, State.RUNNING, State.STOPPING)
        assert alive == bool(self.live)

    @invariant()
    def stopping_always_has_a_timer(self) -> None:
        if self.m.state is State.STOPPING:
            assert self.timers.get(Clock.STOP) == self.m.run

    @invariant()
    def what_waits_has_something_to_wait_for(self) -> None:
        if self.waiting:
            going_on = self.m.state in (State.STARTING, State.STOPPING) or self.checks
            assert going_on, "a command waits for nothing"

    def teardown(self) -> None:
        """After any history, a STOP and the end of the run complete every command."""
        if not hasattr(self, "m"):
            return
        self.stop()
        for run in list(self.live):
            self.live.remove(run)
            if run in self.leaderless:
                self.take(ev.Cleared(run))
            else:
                self.take(ev.Exited(run, -9, "SIGKILL"))
        assert not self.waiting
        assert self.m.state is State.STOPPED


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
