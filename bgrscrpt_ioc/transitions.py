"""The answers that the lifecycle's table names.

Pure, as `lifecycle` is; read that file first.
"""

from __future__ import annotations

from bgrscrpt_ioc.events import (
    AutorestartSet,
    Beat,
    Began,
    CancelTimer,
    Check,
    Checked,
    Cleared,
    Clock,
    Complete,
    Elapsed,
    Exited,
    SetTimer,
    ShutdownAsked,
    Sign,
    Signal,
    Spawn,
    StartAsked,
    State,
    StopAsked,
)
from bgrscrpt_ioc.machine import Command, Machine, Then

ESCALATION = {Sign.INTERRUPT: Sign.TERMINATE, Sign.TERMINATE: Sign.KILL, Sign.KILL: Sign.KILL}

# --- what the table's functions are made of ----------------------------------------------------


def launch(m: Machine, message: str, *, automatic: bool = False) -> None:
    m.run += 1
    m.state, m.message, m.automatic = State.STARTING, message, automatic
    m.healthy, m.exit, m.sign, m.then, m.fault = False, None, None, Then.JUDGE, ""
    m.do(Spawn(m.run))
    arm(m, Clock.START, m.policy.start_timeout)


def arm(m: Machine, clock: Clock, delay: float) -> None:
    if delay > 0:
        m.do(SetTimer(m.run, clock, delay))


def disarm(m: Machine, *clocks: Clock) -> None:
    for clock in clocks:
        m.do(CancelTimer(clock))


def send(m: Machine, sign: Sign) -> None:
    m.sign = sign
    m.do(Signal(m.run, sign))
    m.do(SetTimer(m.run, Clock.STOP, m.policy.stop_timeout))


def begin_stop(m: Machine, then: Then, message: str, sign: Sign = Sign.INTERRUPT) -> None:
    m.state, m.then, m.message, m.hung = State.STOPPING, then, message, False
    disarm(m, Clock.START, Clock.HEALTHY, Clock.HEARTBEAT)
    send(m, sign)


def complete_active(m: Machine, failure: str = "") -> None:
    if m.active is not None:
        m.do(Complete(m.active.ticket, failure))
        m.active, m.checking = None, False


def complete_stops(m: Machine, failure: str = "") -> None:
    for ticket in m.stops:
        m.do(Complete(ticket, failure))
    m.stops.clear()


def preempt(m: Machine, why: str) -> None:
    complete_active(m, why)
    while m.queue:
        m.do(Complete(m.queue.popleft().ticket, why))


def asked(event: Command) -> str:
    verb = "started" if isinstance(event, StartAsked) else "restarted"
    return f"{verb} by {event.by}"


def settle(m: Machine, exited: Exited) -> None:
    """The run is over: no process of it lives. Decide what comes next."""
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
        fail(m, m.fault or exited.reason)


def prove(m: Machine) -> None:
    """The run is a good one: earlier failures are forgotten."""
    m.failures, m.healthy = 0, True


def finish(m: Machine, exited: Exited) -> None:
    prove(m)
    if m.policy.restart == "always" and m.autorestart:
        back_off(m, m.policy.backoff, exited.reason)
    else:
        m.state, m.message = State.FINISHED, exited.reason
    complete_began_late(m, exited.reason)


def fail(m: Machine, reason: str) -> None:
    m.failures += 1
    limit = m.policy.start_limit
    if m.policy.restart == "never" or not m.autorestart:
        m.state, m.message = State.FAILED, reason
    elif limit and m.failures >= limit:
        m.state, m.message = State.FAILED, f"{reason}; gave up after {m.failures} failures in a row"
    else:
        # The exponent is bounded so that a script that fails for months cannot overflow a float.
        delay = m.policy.backoff * 2.0 ** min(m.failures - 1, 60)
        back_off(m, min(delay, m.policy.backoff_max), reason)
    complete_began_late(m, reason)


def back_off(m: Machine, delay: float, reason: str) -> None:
    m.state, m.retry_delay = State.BACKOFF, delay
    m.message = f"{reason}; starts again in {delay:g} s"
    m.do(SetTimer(m.run, Clock.RETRY, delay))


def complete_began_late(m: Machine, reason: str) -> None:
    """Fail the START or RESTART whose run ended before the script's first line."""
    if not m.checking:
        complete_active(m, reason)


# --- the table's functions ---------------------------------------------------------------------


def ignore(_m: Machine, _event: object) -> None:
    """Nothing follows."""


def enqueue(m: Machine, event: Command) -> None:
    if m.closing:
        m.do(Complete(event.ticket, "the IOC is shutting down"))
        return
    m.wanted = True
    m.queue.append(event)


def take_launch(m: Machine, event: Command) -> None:
    """START or RESTART with nothing running."""
    disarm(m, Clock.RETRY)
    m.failures = 0
    launch(m, asked(event))


def take_nothing(m: Machine, _event: Command) -> None:
    """START of a script that runs: done."""
    complete_active(m)


def take_when_over(m: Machine, _event: Command) -> None:
    """START or RESTART while an earlier run is going down."""
    m.then = Then.LAUNCH


def take_check(m: Machine, event: Command) -> None:
    """RESTART of a script that runs: first see whether the new one is any good."""
    m.checking = True
    m.do(Check(event.ticket))


def checked(m: Machine, event: Checked) -> None:
    if m.active is None or not m.checking or m.active.ticket != event.ticket:
        return
    m.checking = False
    if event.problem:
        m.message = f"not restarted, the script is bad: {event.problem}"
        complete_active(m, m.message)
    elif m.state in (State.STARTING, State.RUNNING):
        begin_stop(m, Then.LAUNCH, f"restarting for {m.active.by}")
    elif m.state is State.STOPPING:
        m.then = Then.LAUNCH
    else:
        take_launch(m, m.active)


def began(m: Machine, _event: Began) -> None:
    m.state = State.RUNNING
    disarm(m, Clock.START)
    if m.policy.healthy_after > 0:
        arm(m, Clock.HEALTHY, m.policy.healthy_after)
    else:
        prove(m)
    arm(m, Clock.HEARTBEAT, m.policy.heartbeat_timeout)
    if not m.checking:
        complete_active(m)


def beat(m: Machine, _event: Beat) -> None:
    if m.hung:
        m.hung, m.message = False, "the heartbeat is back"
    arm(m, Clock.HEARTBEAT, m.policy.heartbeat_timeout)


def stop_idle(m: Machine, event: StopAsked) -> None:
    """STOP with nothing running: it stays stopped, and an alarm is acknowledged."""
    m.wanted = False
    disarm(m, Clock.RETRY)
    preempt(m, f"STOP by {event.by} came first")
    if m.state is not State.STOPPED:
        m.state, m.message = State.STOPPED, f"stopped by {event.by}"
    m.do(Complete(event.ticket))


def stop_live(m: Machine, event: StopAsked) -> None:
    m.wanted = False
    preempt(m, f"STOP by {event.by} came first")
    m.stops.append(event.ticket)
    begin_stop(m, Then.STOP, f"stopped by {event.by}")


def stop_again(m: Machine, event: StopAsked) -> None:
    """STOP while the run is already going down, for whatever reason."""
    m.wanted = False
    preempt(m, f"STOP by {event.by} came first")
    m.then, m.message = Then.STOP, f"stopped by {event.by}"
    m.stops.append(event.ticket)


def shut_idle(m: Machine, event: ShutdownAsked) -> None:
    m.closing = True
    disarm(m, Clock.RETRY)
    preempt(m, "the IOC is shutting down")
    if m.state is State.BACKOFF:
        m.state, m.message = State.STOPPED, "the IOC is shutting down"
    m.do(Complete(event.ticket))


def shut_live(m: Machine, event: ShutdownAsked) -> None:
    m.closing = True
    preempt(m, "the IOC is shutting down")
    m.stops.append(event.ticket)
    begin_stop(m, Then.STOP, "stopped, the IOC is shutting down")


def shut_again(m: Machine, event: ShutdownAsked) -> None:
    m.closing = True
    preempt(m, "the IOC is shutting down")
    m.then = Then.STOP
    m.stops.append(event.ticket)


def set_autorestart(m: Machine, event: AutorestartSet) -> None:
    m.autorestart = event.on


def set_autorestart_waiting(m: Machine, event: AutorestartSet) -> None:
    """Switched off while a retry is due: the failure stands, and needs a user."""
    m.autorestart = event.on
    if not event.on:
        disarm(m, Clock.RETRY)
        m.state, m.message = State.FAILED, f"{m.message.split('; ')[0]}; autorestart is off"


def exited_starting(m: Machine, event: Exited) -> None:
    """Ended before the script's first line: a failure, whatever the exit code says."""
    m.fault = event.reason if event.code else f"{event.reason} before the script's first line"
    exited(m, event)


def exited(m: Machine, event: Exited) -> None:
    m.exit = event
    if event.survivors == 0:
        settle(m, event)
    else:
        message = f"{event.reason}; ending {event.survivors} processes that it left"
        begin_stop(m, Then.JUDGE, message, Sign.TERMINATE)


def exited_stopping(m: Machine, event: Exited) -> None:
    m.exit = event
    if event.survivors == 0:
        settle(m, event)
    elif m.sign is Sign.INTERRUPT:
        send(m, Sign.TERMINATE)  # SIGINT went to the script alone: the others learn it now


def cleared(m: Machine, _event: Cleared) -> None:
    if m.exit is not None:
        settle(m, m.exit)


def elapsed_starting(m: Machine, event: Elapsed) -> None:
    if event.clock is Clock.START:
        m.fault = f"not started within {m.policy.start_timeout:g} s"
        begin_stop(m, Then.JUDGE, m.fault)


def elapsed_running(m: Machine, event: Elapsed) -> None:
    if event.clock is Clock.HEALTHY:
        prove(m)
    elif event.clock is Clock.HEARTBEAT:
        m.hung = True
        m.message = f"no heartbeat for {m.policy.heartbeat_timeout:g} s"
        if m.policy.restart_when_hung:
            m.fault = m.message
            begin_stop(m, Then.JUDGE, f"{m.message}; restarting")


def elapsed_stopping(m: Machine, event: Elapsed) -> None:
    if event.clock is not Clock.STOP or m.sign is None:
        return
    if m.sign is Sign.KILL:
        m.message = "SIGKILL has not ended it: a process hangs in the kernel"
        complete_active(m, m.message)
        complete_stops(m, m.message)
    send(m, ESCALATION[m.sign])


def elapsed_backoff(m: Machine, event: Elapsed) -> None:
    if event.clock is Clock.RETRY:
        launch(m, f"{m.message.split('; ')[0]}; started again", automatic=True)
