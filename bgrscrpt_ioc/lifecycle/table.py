"""The life of one script as a table: for each state and event, what happens.

All decisions are made in this module and in `machine`, `transitions` and `steps`: no I/O, no clock,
no asyncio.

Theory of operation
-------------------
`Lifecycle.handle(event)` takes one event and returns the effects to carry out, in order. The
results of these effects come back as further events. For each state and event `TABLE` names the
function that answers. `ignore` is written in the table too, so that a pair that was forgotten is
an error.

*Runs.* Each launch has a number. Events and timers of a run carry its number, and events of earlier
runs are dropped. A run ends once: by `Exited` without survivors, or by `Exited` and then `Cleared`,
when the last process of its tree has ended.

*Commands.* A command has a ticket and completes with exactly one `Complete`. Commands wait in one
queue, first in, first out; the one being carried out is the *active* one. STOP does not wait: it
fails every START and RESTART before it. RESTART first has the script checked, and only a good
script replaces the run.

*Stopping.* The signals are SIGINT, SIGTERM and SIGKILL, `stop_timeout` apart. If processes live on
after SIGKILL, only the kernel can end them. SIGKILL is then repeated, and the commands that wait
fail with a message that says so.
"""

from __future__ import annotations

from collections.abc import Callable

from bgrscrpt_ioc.lifecycle import transitions as answer
from bgrscrpt_ioc.lifecycle.events import (
    AutorestartSet,
    Beat,
    Began,
    Checked,
    Cleared,
    Effect,
    Elapsed,
    Event,
    Exited,
    PartDied,
    PolicySet,
    RestartAsked,
    ShutdownAsked,
    StacksTaken,
    StartAsked,
    State,
    StopAsked,
)
from bgrscrpt_ioc.lifecycle.machine import Command, Machine

Answer = Callable[..., None]
OfARun = Began | Beat | StacksTaken | PartDied | Exited | Cleared | Elapsed

# Nothing runs: the answers of Stopped, Finished and Failed, and most of those of Backoff.
IDLE: dict[type[Event], Answer] = {
    StartAsked: answer.enqueue,
    RestartAsked: answer.enqueue,
    StopAsked: answer.stop_idle,
    ShutdownAsked: answer.shut_idle,
    AutorestartSet: answer.set_autorestart,
    PolicySet: answer.set_policy,
    Checked: answer.checked,
    Began: answer.ignore,
    Beat: answer.ignore,
    StacksTaken: answer.ignore,
    PartDied: answer.ignore,
    Exited: answer.ignore,
    Cleared: answer.ignore,
    Elapsed: answer.ignore,
}

# A run lives: the answers of Starting and Running.
LIVE = IDLE | {
    StopAsked: answer.stop_live,
    ShutdownAsked: answer.shut_live,
}

TABLE: dict[State, dict[type[Event], Answer]] = {
    State.STOPPED: IDLE,
    State.FINISHED: IDLE,
    State.FAILED: IDLE,
    State.BACKOFF: IDLE
    | {
        AutorestartSet: answer.set_autorestart_waiting,
        PolicySet: answer.set_policy_waiting,
        Elapsed: answer.elapsed_backoff,
    },
    State.STARTING: LIVE
    | {
        Began: answer.began,
        Exited: answer.exited_starting,
        Elapsed: answer.elapsed_starting,
    },
    State.RUNNING: LIVE
    | {
        PolicySet: answer.set_policy_running,
        Beat: answer.beat,
        StacksTaken: answer.stacks_taken,
        PartDied: answer.part_died,
        Exited: answer.exited,
        Elapsed: answer.elapsed_running,
    },
    State.STOPPING: IDLE
    | {
        StopAsked: answer.stop_again,
        ShutdownAsked: answer.shut_again,
        Exited: answer.exited_stopping,
        Cleared: answer.cleared,
        Elapsed: answer.elapsed_stopping,
    },
}

# What a START or RESTART does when it becomes the active command.
TAKE: dict[State, dict[type[Command], Answer]] = {
    State.STOPPED: {StartAsked: answer.take_launch, RestartAsked: answer.take_launch},
    State.FINISHED: {StartAsked: answer.take_launch, RestartAsked: answer.take_launch},
    State.FAILED: {StartAsked: answer.take_launch, RestartAsked: answer.take_launch},
    State.BACKOFF: {StartAsked: answer.take_launch, RestartAsked: answer.take_launch},
    State.STARTING: {StartAsked: answer.ignore, RestartAsked: answer.take_check},  # Began completes
    State.RUNNING: {StartAsked: answer.take_nothing, RestartAsked: answer.take_check},
    State.STOPPING: {StartAsked: answer.take_when_over, RestartAsked: answer.take_when_over},
}


class Lifecycle(Machine):
    """The state machine of one script. Read its attributes; change them only by `handle`."""

    def handle(self, event: Event) -> list[Effect]:
        """Take one event; return the effects to carry out, in order."""
        if isinstance(event, OfARun) and event.run != self.run:
            return []
        TABLE[self.state][type(event)](self, event)
        while self.active is None and self.queue and not self.stops:
            self.active = self.queue.popleft()
            TAKE[self.state][type(self.active)](self, self.active)
        effects, self._effects = self._effects, []
        return effects
