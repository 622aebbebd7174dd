"""How a script's interpreter is launched: command, order, environment. It launches nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.limits import Confinement

BOOTSTRAP = Path(__file__).with_name("child") / "bootstrap.py"
COOKIE = "BGRSCRPT_RUN"  # in the environment of every process of a run
NO_KIT = Path(__file__).with_name("child") / "no_kit"  # what KIT_ROOT is where there is no kit


# To run it, to compile it and no more, or to wait until it shall do either.
Mode = Literal["run", "check", "standby"]


@dataclass(frozen=True, slots=True)
class Launch:
    """One script and all that its interpreter is given; `environ` is all of it."""

    script: Path
    python: str
    cwd: Path
    args: tuple[str, ...] = ()
    search_path: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    cookie: str = ""
    preload: tuple[str, ...] = ()  # modules that it imports while it waits
    confinement: Confinement = field(default_factory=Confinement)
    path_map: Mapping[str, str] = field(default_factory=dict)  # Windows' directory: the host's

    @property
    def command(self) -> list[str]:
        """The interpreter's command line; the script's name is in the order, not here."""
        return [self.python, "-I", "-u", str(BOOTSTRAP)]

    def order(self, mode: Mode) -> bytes:
        """What the bootstrap reads from its stdin: the length, and NUL-terminated fields."""
        cgroup = self.confinement.cgroup if mode != "check" else ""
        fields = [mode, str(self.script), cgroup, self.confinement.order]
        pairs = tuple(chain.from_iterable(self.path_map.items()))
        for entries in self.args, self.search_path, self.preload, pairs:
            fields += [str(len(entries)), *entries]
        data = b"".join(os.fsencode(item) + b"\0" for item in fields)
        return b"%d\0" % len(data) + data


def waiting(cookie: str) -> str:
    """The cookie of an interpreter in standby: whoever counts runs shall not take it for one."""
    head, _, run = cookie.rpartition("/")
    return f"{head}/~{run}"


def launch(
    instance: InstanceSettings,
    environ: Mapping[str, str],
    *,
    prefix: str,
    cookie: str,
    confinement: Confinement | None = None,
) -> Launch:
    """How an instance's script is launched, from an IOC with this environment."""
    return Launch(
        instance.script,
        str(instance.python),
        instance.cwd,
        instance.args,
        tuple(map(str, instance.python_path)),
        environment(environ, instance.env, prefix=prefix, name=instance.name, cookie=cookie),
        cookie,
        instance.preload,
        confinement or Confinement(),
        {windows: str(host) for windows, host in instance.path_map.items()},
    )


def environment(
    environ: Mapping[str, str], extra: Mapping[str, str], *, prefix: str, name: str, cookie: str
) -> dict[str, str]:
    """The script's environment: the IOC's, the instance's `env`, and what scripts rely on.

    Scripts of ISIS read `KIT_ROOT` or `EPICS_KIT_ROOT` without asking whether it is there.
    """
    result = {**environ, **extra}
    kit = result.get("KIT_ROOT") or result.get("EPICS_KIT_ROOT") or str(NO_KIT)
    for variable in ("KIT_ROOT", "EPICS_KIT_ROOT"):
        result[variable] = result.get(variable) or kit
    result |= {"MYPVPREFIX": prefix, "BGRSCRPT_NAME": name, COOKIE: cookie}
    return result
