"""The life of one script: states, events, effects and the table of what follows what.

What decides lives here, in `machine` and in `transitions`, and nothing else does: no I/O, no clock,
no asyncio.

Theory of operation
-------------------
`Lifecycle.handle(event)` takes one event and returns the effects to carry out, in order. What the
world does in answer comes back as further events. `TABLE` names for each state and event the one
function that answers; `ignore` is written out too, so that a pair nobody thought of is an error.

*Runs.* Each launch has a number, and events and timers of a run carry it: what an earlier run still
sends is dropped at the door. A run ends once: `Exited` without survivors, or `Exited` and then
`Cleared`, when the last process of its tree is gone.

*Commands.* A command is accepted with a ticket and completes with exactly one `Complete`. Commands
wait in one queue, first in first out; one at a time is the *active* one. STOP does not wait: it
fails every START and RESTART before it. RESTART first has the script checked, and only a good
script lets it touch the run.

*Stopping.* SIGINT, then SIGTERM, then SIGKILL, `stop_timeout` apart; what stays after that is in
the kernel's hands: SIGKILL is repeated, and the commands that wait fail with a clear word.
"""

from __future__ import annotations

from collections.abc import Callable

from bgrscrpt_ioc import transitions as answer
from bgrscrpt_ioc.events import (
    AutorestartSet,
    Beat,
    Began,
    Checked,
    Cleared,
    Effect,
    Elapsed,
    Event,
    Exited,
    RestartAsked,
    ShutdownAsked,
    StartAsked,
    State,
    StopAsked,
)
from bgrscrpt_ioc.machine import Command, Machine

Answer = Callable[..., None]

# Nothing runs: what holds for Stopped, Finished and Failed, and mostly for Backoff.
IDLE: dict[type[Event], Answer] = {
    StartAsked: answer.enqueue,
    RestartAsked: answer.enqueue,
    StopAsked: answer.stop_idle,
    ShutdownAsked: answer.shut_idle,
    AutorestartSet: answer.set_autorestart,
    Checked: answer.checked,
    Began: answer.ignore,
    Beat: answer.ignore,
    Exited: answer.ignore,
    Cleared: answer.ignore,
    Elapsed: answer.ignore,
}

# A run lives: Starting and Running.
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
        Beat: answer.beat,
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

# What a START or RESTART does when its turn comes.
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
    """One script's state machine. Read the attributes; change them by `handle` alone."""

    def handle(self, event: Event) -> list[Effect]:
        """Take one event; return what to do, in order."""
        if isinstance(event, (Began, Beat, Exited, Cleared, Elapsed)) and event.run != self.run:
            return []
        TABLE[self.state][type(event)](self, event)
        while self.active is None and self.queue and not self.stops:
            self.active = self.queue.popleft()
            TAKE[self.state][type(self.active)](self, self.active)
        effects, self._effects = self._effects, []
        return effects
