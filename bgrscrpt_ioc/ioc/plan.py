"""What a reload does: told from the settings of before and those of after. Pure.

`run` settings are those that a run is launched with: only a restart makes them true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings

# Settings of an instance, by what makes a change of them true.
OF_RUN = frozenset({
    "script", "python", "python_path", "cwd", "env", "args", "path_map", "stop_signal",
    "memory_max", "cpu_max", "nproc_max", "nofile_max", "nice",
})  # fmt: skip
TAKEN = frozenset({
    "preload", "at_start", "autorestart", "restart", "backoff", "backoff_max", "healthy_after",
    "start_limit", "start_timeout", "stop_timeout", "thread_death", "heartbeat_timeout",
    "restart_when_hung", "notify", "on_change", "log_keep_days", "log_keep_mb", "links",
})  # fmt: skip
OF_PVS = frozenset({"log_tail", "procserv_pvs", "iocstats_pvs"})
# Of the IOC: whose change means nothing until the next start, and all others.
AT_START = frozenset({"force"})
OF_IOC = frozenset(IocSettings.model_fields) - AT_START - {"instances"}

AGAIN = "end the IOC and start it again"


@dataclass(frozen=True, slots=True)
class Change:
    """One instance that stays, with other settings; `keys` names those."""

    before: InstanceSettings
    after: InstanceSettings
    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the instance."""
        return self.after.name

    @property
    def of_run(self) -> tuple[str, ...]:
        """Return the keys that only a restart makes true."""
        return tuple(key for key in self.keys if key in OF_RUN)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, or why nothing can be done: then `refused` has a line for each reason."""

    added: tuple[InstanceSettings, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[Change, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do and nothing to refuse."""
        return not (self.added or self.removed or self.changed or self.refused)

    def lines(self, restarts: Callable[[str], bool] = lambda _name: True) -> Iterator[str]:
        """Yield a line for each step; `restarts(name)`: a restart of the instance is due."""
        for name in self.removed:
            yield f"{name}: remove the instance"
        for change in self.changed:
            of_run = change.of_run
            others = ", ".join(key for key in change.keys if key not in of_run)
            also = f"; take on {others}" if others else ""
            if of_run and restarts(change.name):
                yield f"{change.name}: restart the script, for {has(of_run)} changed{also}"
            elif of_run:
                yield f"{change.name}: take on {', '.join(change.keys)}; the script does not run"
            else:
                yield f"{change.name}: take on {others}; the script goes on"
        for instance in self.added:
            yield f"{instance.name}: add the instance"

    def summary(self, restarted: int) -> str:
        """Say that all of it is done; `restarted`: how many scripts were."""
        if self.is_empty:
            return "the settings are as they were: there is nothing to do"
        counts = {
            "removed": len(self.removed),
            "added": len(self.added),
            "restarted": restarted,
            "changed without a restart": len(self.changed) - restarted,
        }
        return "done: " + ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def plan_of(before: IocSettings, after: IocSettings) -> Plan:
    """Return how to get from the settings of before to those of after."""
    old = {each.name: each for each in before.instances}
    new = {each.name: each for each in after.instances}
    changes = [
        Change(old[name], each, differing(old[name], each))
        for name, each in new.items()
        if name in old and each != old[name]
    ]
    refused = [
        f"{key}: has changed, and holds for the whole IOC: {AGAIN}"
        for key in differing(before, after)
        if key in OF_IOC
    ]
    refused += [
        f"[instance.{change.name}] {key}: has changed, and the PVs of an instance are made when it"
        f" is added: {AGAIN}, or remove the instance by one reload and add it by the next"
        for change in changes
        for key in change.keys
        if key in OF_PVS
    ]
    if refused:
        return Plan(refused=tuple(refused))
    return Plan(
        tuple(each for name, each in new.items() if name not in old),
        tuple(name for name in old if name not in new),
        tuple(changes),
    )


def differing(
    before: IocSettings | InstanceSettings, after: IocSettings | InstanceSettings
) -> tuple[str, ...]:
    """Return the keys whose values differ, in the model's order."""
    keys = type(after).model_fields
    return tuple(key for key in keys if getattr(before, key) != getattr(after, key))


def has(keys: tuple[str, ...]) -> str:
    """Say that keys have done something: `env has`, `env, args have`."""
    return f"{', '.join(keys)} {'has' if len(keys) == 1 else 'have'}"
