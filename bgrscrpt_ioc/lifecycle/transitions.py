"""The functions that the lifecycle's table names: each answers an event in a state.

Pure. Read `table` first. `steps` has what the functions consist of.
"""

from __future__ import annotations

from bgrscrpt_ioc.lifecycle.events import (
    AutorestartSet,
    Beat,
    Began,
    Check,
    Checked,
    Cleared,
    Clock,
    Complete,
    Elapsed,
    Exited,
    PartDied,
    PolicySet,
    ShutdownAsked,
    Sign,
    StacksTaken,
    State,
    StopAsked,
    TakeStacks,
    processes,
)
from bgrscrpt_ioc.lifecycle.machine import Command, Machine, Then
from bgrscrpt_ioc.lifecycle.steps import (
    arm,
    asked,
    begin_stop,
    complete_active,
    complete_stops,
    disarm,
    launch,
    preempt,
    prove,
    send,
    settle,
)

ESCALATION = {Sign.INTERRUPT: Sign.TERMINATE, Sign.TERMINATE: Sign.KILL, Sign.KILL: Sign.KILL}


def ignore(_m: Machine, _event: object) -> None:
    """Do nothing."""


def enqueue(m: Machine, event: Command) -> None:
    """Put a START or RESTART into the queue."""
    if m.closing:
        m.do(Complete(event.ticket, m.closing))
        return
    m.wanted = True
    m.queue.append(event)


def take_launch(m: Machine, event: Command) -> None:
    """Launch the script: nothing runs."""
    disarm(m, Clock.RETRY)
    m.failures = 0
    launch(m, asked(event))


def take_nothing(m: Machine, _event: Command) -> None:
    """Complete a START at once: the script runs."""
    complete_active(m)


def take_when_over(m: Machine, _event: Command) -> None:
    """Let a START or RESTART wait until the earlier run has ended."""
    m.then = Then.LAUNCH


def take_check(m: Machine, event: Command) -> None:
    """Check the script before a RESTART stops the run."""
    m.checking = True
    m.do(Check(event.ticket))


def checked(m: Machine, event: Checked) -> None:
    """Finish a RESTART's check: a good script replaces the run, a bad one leaves the run alone."""
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
    """Change to Running: the script's first line is about to run."""
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
    """Note a heartbeat."""
    if m.hung:
        m.hung, m.message = False, "the heartbeat is back"
        if m.part_died:
            m.message += f"; {m.part_died}"
    arm(m, Clock.HEARTBEAT, m.policy.heartbeat_timeout)


def stop_idle(m: Machine, event: StopAsked) -> None:
    """Answer STOP when nothing runs: stay stopped, and acknowledge an alarm."""
    m.wanted = False
    disarm(m, Clock.RETRY)
    preempt(m, f"STOP by {event.by} came first")
    if m.state is not State.STOPPED:
        m.state, m.message = State.STOPPED, f"stopped by {event.by}"
    m.do(Complete(event.ticket))


def stop_live(m: Machine, event: StopAsked) -> None:
    """Stop the run because a user asked for it."""
    m.wanted = False
    preempt(m, f"STOP by {event.by} came first")
    m.stops.append(event.ticket)
    begin_stop(m, Then.STOP, f"stopped by {event.by}")


def stop_again(m: Machine, event: StopAsked) -> None:
    """Answer STOP while the run is being stopped already, for whatever reason."""
    m.wanted = False
    preempt(m, f"STOP by {event.by} came first")
    m.then, m.message = Then.STOP, f"stopped by {event.by}"
    m.stops.append(event.ticket)


def shut_idle(m: Machine, event: ShutdownAsked) -> None:
    """The instance ends with nothing running."""
    m.closing = event.why
    disarm(m, Clock.RETRY)
    preempt(m, event.why)
    if m.state is State.BACKOFF:
        m.state, m.message = State.STOPPED, event.why
    m.do(Complete(event.ticket))


def shut_live(m: Machine, event: ShutdownAsked) -> None:
    """The instance ends, and the run with it."""
    m.closing = event.why
    preempt(m, event.why)
    m.stops.append(event.ticket)
    begin_stop(m, Then.STOP, f"stopped, {event.why}")


def shut_again(m: Machine, event: ShutdownAsked) -> None:
    """The instance ends while the run is already going down."""
    m.closing = event.why
    preempt(m, event.why)
    m.then = Then.STOP
    m.stops.append(event.ticket)


def set_autorestart(m: Machine, event: AutorestartSet) -> None:
    """Remember the switch AUTORESTART."""
    m.autorestart = event.on


def set_autorestart_waiting(m: Machine, event: AutorestartSet) -> None:
    """Give up the retry that waits: AUTORESTART is off now, so a user must start the script."""
    m.autorestart = event.on
    if not event.on:
        disarm(m, Clock.RETRY)
        m.state, m.message = State.FAILED, f"{m.reason}; autorestart is off"


def set_policy(m: Machine, event: PolicySet) -> None:
    """Decide by other settings from now on; a timer that is set runs out when it was to."""
    m.policy = event.policy


def set_policy_waiting(m: Machine, event: PolicySet) -> None:
    """Decide by other settings while a retry is due: if there is to be none, the failure stands."""
    m.policy = event.policy
    if event.policy.restart == "never":
        disarm(m, Clock.RETRY)
        m.state, m.message = State.FAILED, f"{m.reason}; restart is never"


def set_policy_running(m: Machine, event: PolicySet) -> None:
    """Decide by other settings: a script has all of another `heartbeat_timeout` from now on."""
    before, m.policy = m.policy, event.policy
    if event.policy.heartbeat_timeout != before.heartbeat_timeout:
        if m.hung:
            m.hung, m.message = False, "heartbeat_timeout has changed"
            if m.part_died:
                m.message += f"; {m.part_died}"
        disarm(m, Clock.HEARTBEAT)
        arm(m, Clock.HEARTBEAT, event.policy.heartbeat_timeout)


def exited_starting(m: Machine, event: Exited) -> None:
    """Fail the run: it ended before the script's first line ran, whatever its exit code."""
    m.fault = event.reason
    exited(m, event)


def exited(m: Machine, event: Exited) -> None:
    """Take note that the script's process ended by itself; end the processes that it left."""
    m.exit = event
    if event.survivors == 0:
        settle(m, event)
    else:
        message = f"{event.reason}; ending {processes(event.survivors)} that it left"
        begin_stop(m, Then.JUDGE, message, Sign.TERMINATE)


def exited_stopping(m: Machine, event: Exited) -> None:
    """Take note that the script's process ended as it was asked to."""
    m.exit = event
    if event.survivors == 0:
        settle(m, event)
    elif m.sign is Sign.INTERRUPT:
        send(m, Sign.TERMINATE)  # SIGINT went to the script alone: the others learn of the stop now


def cleared(m: Machine, _event: Cleared) -> None:
    """Take note that the processes that the script left have ended too."""
    if m.exit is not None:
        settle(m, m.exit)


def elapsed_starting(m: Machine, event: Elapsed) -> None:
    """Stop the run: the script's first line was not reached in time."""
    if event.clock is Clock.START:
        m.fault = (
            f"not started within {m.policy.start_timeout:g} s: the script's disk is slow, or"
            " `python` is a wrapper that reads the stdin that is meant for Python"
        )
        begin_stop(m, Then.JUDGE, m.fault)


def elapsed_running(m: Machine, event: Elapsed) -> None:
    """Take the run for healthy, or note that its heartbeat is missing."""
    if event.clock is Clock.HEALTHY:
        prove(m)
    elif event.clock is Clock.HEARTBEAT:
        m.hung = True
        m.message = silence(m) + (f"; {m.part_died}" if m.part_died else "")
        m.do(TakeStacks(m.run, silence(m)))


def silence(m: Machine) -> str:
    """Report that the heartbeat of the run is missing."""
    return f"no heartbeat for {m.policy.heartbeat_timeout:g} s"


def stacks_taken(m: Machine, _event: StacksTaken) -> None:
    """Stop the run that hangs, unless its heartbeat is back: its stacks are recorded."""
    if m.hung and m.policy.restart_when_hung:
        m.fault = silence(m)
        begin_stop(m, Then.JUDGE, f"{m.fault}; restarting")


def part_died(m: Machine, event: PartDied) -> None:
    """Raise an alarm for a thread or a task that died, or end the run."""
    if m.policy.thread_death == "ignore":
        return
    m.part_died = event.what
    m.message = f"{silence(m)}; {event.what}" if m.hung else event.what
    if m.policy.thread_death == "fail":
        m.fault = event.what
        begin_stop(m, Then.JUDGE, f"{event.what}; ending the run")


def elapsed_stopping(m: Machine, event: Elapsed) -> None:
    """Send the next signal: the run has not ended."""
    if event.clock is not Clock.STOP or m.sign is None:
        return
    if m.sign is Sign.KILL:
        m.message = "SIGKILL has not ended the script: a process hangs in the kernel"
        complete_active(m, m.message)
        complete_stops(m, m.message)
    send(m, ESCALATION[m.sign])


def elapsed_backoff(m: Machine, event: Elapsed) -> None:
    """Start the script again: the wait is over."""
    if event.clock is Clock.RETRY:
        launch(m, f"{m.reason}; started again", automatic=True)
