"""The steps that the lifecycle's answers consist of: launch, stop, judge, complete.

Pure. Read `table` first. Each step takes the machine from one consistent state to the next.
"""

from __future__ import annotations

from bgrscrpt_ioc.lifecycle.events import (
    CancelTimer,
    Clock,
    Complete,
    Exited,
    SetTimer,
    Sign,
    Signal,
    Spawn,
    StartAsked,
    State,
)
from bgrscrpt_ioc.lifecycle.machine import Command, Machine, Then


def launch(m: Machine, message: str, *, automatic: bool = False) -> None:
    """Launch the next run."""
    m.run += 1
    m.state, m.message, m.automatic = State.STARTING, message, automatic
    m.healthy, m.exit, m.sign, m.then, m.fault = False, None, None, Then.JUDGE, ""
    m.part_died = ""
    m.do(Spawn(m.run))
    arm(m, Clock.START, m.policy.start_timeout)


def arm(m: Machine, clock: Clock, delay: float) -> None:
    """Start a timer, unless the policy turns its limit off."""
    if delay > 0:
        m.do(SetTimer(m.run, clock, delay))


def disarm(m: Machine, *clocks: Clock) -> None:
    """Stop timers."""
    for clock in clocks:
        m.do(CancelTimer(clock))


def send(m: Machine, sign: Sign) -> None:
    """Send a signal to the run, and start the timer for its end."""
    m.sign = sign
    m.do(Signal(m.run, sign))
    m.do(SetTimer(m.run, Clock.STOP, m.policy.stop_timeout))


def begin_stop(m: Machine, then: Then, message: str, sign: Sign = Sign.INTERRUPT) -> None:
    """Stop the run; `then` says what to do when it has ended."""
    m.state, m.then, m.message, m.hung = State.STOPPING, then, message, False
    disarm(m, Clock.START, Clock.HEALTHY, Clock.HEARTBEAT)
    send(m, sign)


def complete_active(m: Machine, failure: str = "") -> None:
    """Complete the active START or RESTART."""
    if m.active is not None:
        m.do(Complete(m.active.ticket, failure))
        m.active, m.checking = None, False


def complete_stops(m: Machine, failure: str = "") -> None:
    """Complete every STOP that waits."""
    for ticket in m.stops:
        m.do(Complete(ticket, failure))
    m.stops.clear()


def preempt(m: Machine, why: str) -> None:
    """Fail every START and RESTART that is active or waits."""
    complete_active(m, why)
    while m.queue:
        m.do(Complete(m.queue.popleft().ticket, why))


def asked(event: Command) -> str:
    """Return the words that say who asked for a run."""
    verb = "started" if isinstance(event, StartAsked) else "restarted"
    return f"{verb} by {event.by}"


def settle(m: Machine, exited: Exited) -> None:
    """Decide what comes next: all processes of the run have ended."""
    disarm(m, Clock.START, Clock.STOP, Clock.HEALTHY, Clock.HEARTBEAT)
    m.hung = False
    if m.then is Then.STOP:
        m.state = State.STOPPED
        complete_stops(m)
    elif m.then is Then.LAUNCH and m.active is not None:
        m.failures = 0
        launch(m, asked(m.active))
    elif exited.code == 0 and not m.fault:
        finish(m, exited)
    else:
        fail(m, m.fault or exited.reason, exited.left)


def prove(m: Machine) -> None:
    """Take the run for healthy: forget earlier failures."""
    m.failures, m.healthy = 0, True


def finish(m: Machine, exited: Exited) -> None:
    """Note that the run has ended well."""
    prove(m)
    if m.policy.restart == "always" and m.autorestart:
        back_off(m, m.policy.backoff, exited.reason, exited.left)
    else:
        m.state, m.message = State.FINISHED, exited.reason + exited.left
    complete_began_late(m, exited.reason)


def fail(m: Machine, reason: str, left: str) -> None:
    """Note that the run has failed: start the script again later, or give up."""
    m.failures += 1
    limit = m.policy.start_limit
    if m.policy.restart == "never" or not m.autorestart:
        m.state, m.message = State.FAILED, reason + left
    elif limit and m.failures >= limit:
        m.state = State.FAILED
        failures = "1 failure" if m.failures == 1 else f"{m.failures} failures in a row"
        m.message = f"{reason}{left}; gave up after {failures}"
    else:
        # The exponent has a bound: a script that fails for months must not cause a float overflow.
        delay = m.policy.backoff * 2.0 ** min(m.failures - 1, 60)
        back_off(m, min(delay, m.policy.backoff_max), reason, left)
    complete_began_late(m, reason)


def back_off(m: Machine, delay: float, reason: str, left: str) -> None:
    """Wait before the next automatic start."""
    m.state, m.retry_delay, m.reason = State.BACKOFF, delay, reason
    m.message = f"{reason}{left}; starts again in {delay:g} s"
    m.do(SetTimer(m.run, Clock.RETRY, delay))


def complete_began_late(m: Machine, reason: str) -> None:
    """Fail the START or RESTART whose run ended before the script's first line ran."""
    if not m.checking:
        complete_active(m, reason)
