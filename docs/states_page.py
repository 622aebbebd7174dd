"""The page of states: what follows what is not written down here but tried out on the lifecycle.

Must not know the table's answers: it feeds events, as tests do, and notes which state came of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from bgrscrpt_ioc.lifecycle.events import (
    AutorestartSet,
    Began,
    Checked,
    Cleared,
    Clock,
    Elapsed,
    Event,
    Exited,
    PartDied,
    Policy,
    RestartAsked,
    Severity,
    ShutdownAsked,
    StacksTaken,
    StartAsked,
    State,
    StopAsked,
)
from bgrscrpt_ioc.lifecycle.table import Lifecycle

PAGE = """# States

{made}
`STATUS` shows one of these states, and `STATUS:MSG` the reason. [At two in the morning](../how-to/at-two-in-the-morning.md)
says what to do about each of them.

{states}
## Which state follows

A put with callback to START or RESTART completes in `Running`, one to STOP in `Stopped`. The table is made by a program that
tries every event on the IOC's own lifecycle.

{changes}
An event that is not in the table changes no state.

- *The script ends* in `Starting`: this is a failure, whatever the exit code is.
- After a failure, the state is `Backoff`. It is `Failed` with `restart = "never"`, with AUTORESTART off, and after `start_limit`
  failures in a row. After exit code 0, the state is `Finished`, or `Backoff` with `restart = "always"`.
- After `Stopping` comes what was asked for, `Stopped` or `Starting`. If nobody asked, because the script ended and left
  processes, was too slow, or hung, then the state is the one that follows the end of a script.
- RESTART of a script that runs compiles the script first. If it does not compile, nothing changes, and the put fails.
- STOP does not wait. All earlier START and RESTART commands fail.

## How long a state lasts

| state | time limit | then |
|---|---|---|
| `Starting` | `start_timeout` | The IOC stops the script. This counts as a failure. |
| `Running` | `healthy_after` | The IOC forgets earlier failures. |
| `Running`, without `alive()` | `heartbeat_timeout` | `STATUS` is in MAJOR alarm, and `STACK:TEXT` has the stacks. With `restart_when_hung` the IOC then stops the script, which counts as a failure. |
| `Stopping` | `stop_timeout` | After `stop_signal` to the script, the IOC sends SIGTERM to its process group, then SIGKILL to all processes that the script has started. |
| `Backoff` | `backoff`, doubled with each failure in a row up to `backoff_max` | The IOC starts the script again. |

[Settings](settings.md) has the defaults.
"""

MEANINGS = {
    State.STOPPED: "The script was never started, or a user or the end of the IOC has stopped it.",
    State.STARTING: "The interpreter is launched, and has not reached the script's first line.",
    State.RUNNING: "The script executes. MAJOR: it misses its heartbeat. MINOR: a thread or an"
    " asyncio task of it has died.",
    State.STOPPING: "The script was asked to stop, or its own process has ended. A process that it"
    " has started still lives.",
    State.FINISHED: "The script has ended by itself, with exit code 0.",
    State.BACKOFF: "The script has failed. The IOC starts it again in `RETRYIN` seconds.",
    State.FAILED: "The script has failed. The IOC does not start it again without a user.",
}
POLICIES = (
    Policy(start_limit=2, heartbeat_timeout=1.0),
    Policy(start_limit=2, heartbeat_timeout=1.0, restart_when_hung=True),
    Policy(start_limit=2, thread_death="fail"),
    Policy(restart="always", start_limit=2),
    Policy(restart="never", start_limit=2),
)
TIMES = {
    Clock.START: "`start_timeout` is over",
    Clock.STOP: "`stop_timeout` is over",
    Clock.RETRY: "the delay is over",
    Clock.HEALTHY: "`healthy_after` is over",
    Clock.HEARTBEAT: "`heartbeat_timeout` is over, with `restart_when_hung`",
}
BY = "someone"
NEVER_MATTERS: Mapping[str, Any] = {  # to what comes next
    "message": "",
    "retry_delay": 0.0,
    "wanted": False,
    "healthy": False,
    "automatic": False,
    "sign": None,
}
ENDINGS = {
    State.STARTING: "the script ends",
    State.RUNNING: "the script {way}",
    State.STOPPING: "the script ends",
}
Change = tuple[State, State]


def states() -> str:
    """The page, without what says how it was made."""
    changes, severities = explored()
    return PAGE.replace("{states}", state_table(severities)).replace(
        "{changes}", change_table(changes)
    )


def state_table(severities: dict[State, set[Severity]]) -> str:
    """One line for each state."""
    lines = ["| # | state | meaning | alarm severity |", "|---|---|---|---|"]
    for state in State:
        alarm = ", ".join(f"`{each.name}`" for each in sorted(severities[state]))
        lines.append(f"| {state:d} | {shown(state)} | {MEANINGS[state]} | {alarm} |")
    return "\n".join(lines) + "\n"


def change_table(changes: dict[Change, list[str]]) -> str:
    """One line for each change that there is."""
    lines = ["| from | to | after one of these events |", "|---|---|---|"]
    for (before, after), labels in sorted(changes.items()):
        lines.append(f"| {shown(before)} | {shown(after)} | {'; '.join(labels)} |")
    return "\n".join(lines) + "\n"


def shown(state: State) -> str:
    """A state as STATUS reads."""
    return f"`{state.name.capitalize()}`"


def explored() -> tuple[dict[Change, list[str]], dict[State, set[Severity]]]:
    """Every change of state that any order of events brings about, and the severities seen."""
    changes: defaultdict[Change, list[str]] = defaultdict(list)
    severities: defaultdict[State, set[Severity]] = defaultdict(set)
    for policy in POLICIES:
        waiting, seen = [Lifecycle(policy)], set[str]()
        while waiting:
            machine = waiting.pop()
            severities[machine.state].add(machine.severity)
            for label, event in possible(machine):
                after = deepcopy(machine)
                after.handle(event)
                change = (machine.state, after.state)
                if after.state is not machine.state and label not in changes[change]:
                    changes[change].append(label)
                after.run = 1  # runs are told apart elsewhere
                key = repr(replace(after, **NEVER_MATTERS, fault=after.fault and "some"))
                if key not in seen:
                    seen.add(key)
                    waiting.append(after)
    return {change: sorted(labels) for change, labels in changes.items()}, severities


def possible(machine: Lifecycle) -> Iterator[tuple[str, Event]]:
    """What may happen now, in the page's words; how commands wait for each other is not tried."""
    if machine.active is None and not machine.queue:
        yield "START", StartAsked(1, BY)
        yield "RESTART", RestartAsked(1, BY)
    if not machine.stops:
        yield "STOP", StopAsked(1, BY)
        yield "the IOC ends", ShutdownAsked(1)
    yield "AUTORESTART is switched off", AutorestartSet(on=False)
    yield "AUTORESTART is switched on", AutorestartSet(on=True)
    if machine.checking:
        yield "RESTART", Checked(1)
        yield "RESTART of a script that does not compile", Checked(1, "bad")
    yield from of_the_run(machine.state, ended=machine.exit is not None)


def of_the_run(state: State, *, ended: bool) -> Iterator[tuple[str, Event]]:
    """What a run's processes and timers may bring."""
    if state is State.STARTING:
        yield "the script's first line is reached", Began(1)
    if state in ENDINGS and not ended:
        for code, way in ((0, "ends with exit code 0"), (1, "fails")):
            label = ENDINGS[state].format(way=way)
            yield label, Exited(1, code, "reason")
            yield f"{label}, and leaves processes", Exited(1, code, "reason", survivors=1)
    if ended:
        yield "the last process of the script is gone", Cleared(1)
    for clock, label in TIMES.items():
        yield label, Elapsed(1, clock)
    if state is State.RUNNING:
        yield TIMES[Clock.HEARTBEAT], StacksTaken(1)
        yield 'a thread or task dies, with `thread_death = "fail"`', PartDied(1, "reason")
