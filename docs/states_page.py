"""The page of states: what follows what is not written down here but tried out on the lifecycle.

Must not know the table's answers: it feeds events, as tests do, and notes which state came of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from bgrscrpt_ioc.events import (
    AutorestartSet,
    Began,
    Checked,
    Cleared,
    Clock,
    Elapsed,
    Event,
    Exited,
    Policy,
    RestartAsked,
    Severity,
    ShutdownAsked,
    StartAsked,
    State,
    StopAsked,
)
from bgrscrpt_ioc.lifecycle import Lifecycle

PAGE = """# States

{made}
`STATUS` is one of these; `STATUS:MSG` says why. The table below is the lifecycle's own, tried out event by
event.

{states}
## What leads from one to the other

A put with callback to START or RESTART completes in `Running`, one to STOP in `Stopped`.

{changes}
What is not in the table changes no state.

- *It ends* in `Starting`: a failure, with whatever exit code.
- After a failure: `Backoff`; `Failed` with `restart = "never"`, AUTORESTART off, or `start_limit` failures in a
  row. After exit code 0: `Finished`; `Backoff` with `restart = "always"`.
- `Stopping` leads to what was asked for, `Stopped` or `Starting`. If nobody has asked, since the script ended and
  left processes, or was too slow, or hung: to what would have followed its end.
- RESTART of a script that runs compiles it first. One that does not compile changes nothing, and the put fails.
- STOP does not wait: it makes every START and RESTART before it fail.

## How long it takes

| in | for | then |
|---|---|---|
| `Starting` | `start_timeout` | it is stopped, which counts as a failure |
| `Running` | `healthy_after` | the failures before are forgotten |
| `Running`, no `alive()` | `heartbeat_timeout` | MAJOR alarm; with `restart_when_hung` it is stopped, a failure |
| `Stopping` | `stop_timeout` | after SIGINT to the script SIGTERM to its process group, then SIGKILL to all it has started |
| `Backoff` | `backoff`, doubled with each failure in a row up to `backoff_max` | it is started again |

The defaults are in [settings](settings.md).
"""

MEANINGS = {
    State.STOPPED: "never started, or stopped by a user or with the IOC",
    State.STARTING: "the interpreter is launched, the script's first line not reached",
    State.RUNNING: "the script executes; in alarm while it misses its heartbeat",
    State.STOPPING: "asked to stop, or its own process ended; something of its tree still lives",
    State.FINISHED: "ended by itself with exit code 0",
    State.BACKOFF: "failed, and will be started again in `RETRYIN` seconds",
    State.FAILED: "failed, and will not be started again without a user",
}
POLICIES = (
    Policy(start_limit=2, heartbeat_timeout=1.0),
    Policy(start_limit=2, heartbeat_timeout=1.0, restart_when_hung=True),
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
    State.STARTING: "it ends",
    State.RUNNING: "it {way}",
    State.STOPPING: "it ends",
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
    lines = ["| # | state | it means | alarm severity |", "|---|---|---|---|"]
    for state in State:
        alarm = ", ".join(f"`{each.name}`" for each in sorted(severities[state]))
        lines.append(f"| {state:d} | {shown(state)} | {MEANINGS[state]} | {alarm} |")
    return "\n".join(lines) + "\n"


def change_table(changes: dict[Change, list[str]]) -> str:
    """One line for each change that there is."""
    lines = ["| from | to | when |", "|---|---|---|"]
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
        yield "RESTART of a script that is bad", Checked(1, "bad")
    yield from of_the_run(machine.state, ended=machine.exit is not None)


def of_the_run(state: State, *, ended: bool) -> Iterator[tuple[str, Event]]:
    """What a run's processes and timers may bring."""
    if state is State.STARTING:
        yield "its first line is reached", Began(1)
    if state in ENDINGS and not ended:
        for code, way in ((0, "ends with exit code 0"), (1, "fails")):
            label = ENDINGS[state].format(way=way)
            yield label, Exited(1, code, "reason")
            yield f"{label}, and leaves processes", Exited(1, code, "reason", survivors=1)
    if ended:
        yield "the last of its tree is gone", Cleared(1)
    for clock, label in TIMES.items():
        yield label, Elapsed(1, clock)
