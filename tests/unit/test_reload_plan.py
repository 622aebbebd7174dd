"""The plan of a reload: for any two configurations it leads from one to the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.ioc import plan
from bgrscrpt_ioc.ioc.plan import Plan, plan_of

# Of each key of an instance another value than the one it has in BASE.
BASE: dict[str, Any] = {"script": "/a.py", "python": "/usr/bin/python3", "cwd": "/"}
OTHER: dict[str, Any] = {
    "script": "/b.py", "python": "/opt/python", "python_path": ("/lib",), "cwd": "/tmp",  # noqa: S108
    "env": {"A": "1"}, "args": ("x",), "path_map": {"C:\\x": "/x"}, "preload": ("numpy",),
    "at_start": "stop", "autorestart": False, "restart": "never", "backoff": 2.0,
    "backoff_max": 90.0, "healthy_after": 9.0, "start_limit": 9, "start_timeout": 9.0,
    "stop_signal": "SIGTERM", "stop_timeout": 9.0, "thread_death": "fail",
    "heartbeat_timeout": 9.0, "restart_when_hung": True, "notify": {"on_failure": ("mail",)},
    "on_change": "check", "memory_max": 1, "cpu_max": 1.0, "nproc_max": 1, "nofile_max": 99,
    "nice": 1, "procserv_pvs": True, "iocstats_pvs": True, "log_tail": 999, "log_keep_days": 1,
    "log_keep_mb": 1, "links": {"Plot": "http://localhost:8989/"},
}  # fmt: skip
OTHER_IOC: dict[str, Any] = {
    "prefix": "TF:", "registry": "sqlite:////other", "log_dir": Path("/l"), "state_dir": Path("/t"),
    "interfaces": ("0.0.0.0",), "port": 5066, "force": True, "asg": Path("/asg"),  # noqa: S104
    "write_hosts": ("h",), "echo": False, "cgroup": "off", "strict": True, "log_format": "json",
}  # fmt: skip

names = st.sampled_from([f"BGRSCRPT_0{number}" for number in range(1, 7)])
keys = st.sets(st.sampled_from(sorted(OTHER)), max_size=4)
configurations = st.dictionaries(names, keys, min_size=1)


def instance(name: str, *keys: str) -> InstanceSettings:
    """An instance in which these keys have their other value."""
    return InstanceSettings(name=name, **{**BASE, **{key: OTHER[key] for key in keys}})


def ioc(instances: dict[str, set[str]], **more: Any) -> IocSettings:
    """An IOC with these instances."""
    made = tuple(instance(name, *keys) for name, keys in instances.items())
    values = {"registry": "sqlite:////db", "log_dir": "/log", "state_dir": "/state", **more}
    return IocSettings(instances=made, **values)


def applied(done: Plan, before: IocSettings) -> dict[str, InstanceSettings]:
    """The instances after the plan is carried out."""
    found = {each.name: each for each in before.instances}
    for name in done.removed:
        del found[name]
    for change in done.changed:
        assert found[change.name] == change.before
        found[change.name] = change.after
    for each in done.added:
        assert each.name not in found
        found[each.name] = each
    return found


@given(before=configurations, after=configurations)
def test_a_plan_leads_from_one_to_the_other(
    before: dict[str, set[str]], after: dict[str, set[str]]
) -> None:
    """Carried out on the old instances, a plan gives the new; or it says which keys refuse it."""
    old, new = ioc(before), ioc(after)
    done = plan_of(old, new)
    fixed = [
        f"[instance.{name}] {key}: "
        for name in before.keys() & after.keys()
        for key in before[name] ^ after[name]
        if key in plan.OF_PVS
    ]
    if fixed:
        assert sorted(fixed) == sorted(line[: line.index(": ") + 2] for line in done.refused)
        assert (done.added, done.removed, done.changed) == ((), (), ())
    else:
        assert done.refused == ()
        assert applied(done, old) == {each.name: each for each in new.instances}
        for change in done.changed:
            assert set(change.keys) == before[change.name] ^ after[change.name]
    assert done.is_empty == (before == after)
    assert plan_of(new, ioc(after)).is_empty


def test_every_setting_is_of_one_kind() -> None:
    """No setting is forgotten: each is of the run, taken on, of the PVs, or of the IOC."""
    kinds = [plan.OF_RUN, plan.TAKEN, plan.OF_PVS]
    assert sum(map(len, kinds)) == len(set().union(*kinds))
    assert set().union(*kinds) == set(InstanceSettings.model_fields) - {"name"} == set(OTHER)
    assert set(IocSettings.model_fields) - {"instances"} == set(OTHER_IOC)


def test_what_holds_for_the_whole_ioc() -> None:
    """A setting of the IOC refuses the plan, with its key and the remedy, and tells no secret."""
    before = ioc({"A": set()})
    for key, value in OTHER_IOC.items():
        done = plan_of(before, ioc({"A": set(), "B": set()}, **{key: value}))
        if key == "force":  # it means something at a start
            assert [each.name for each in done.added] == ["B"]
        else:
            text = "has changed, and holds for the whole IOC: end the IOC and start it again"
            assert done == Plan(refused=(f"{key}: {text}",))


def test_what_is_said() -> None:
    """Each line has the instance and what happens to its script, and why; values are not said."""
    before = ioc({"A": set(), "B": set(), "C": set(), "D": set()})
    after = ioc({"E": set(), "A": {"env"}, "B": {"env", "args", "backoff"}, "C": {"notify"}})
    done = plan_of(before, after)
    assert list(done.lines(lambda name: name == "B")) == [
        "D: remove the instance",
        "A: take on env; the script does not run",
        "B: restart the script, for env, args have changed; take on backoff",
        "C: take on notify; the script goes on",
        "E: add the instance",
    ]
