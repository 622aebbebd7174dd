"""The order for a launch: which interpreter runs which script, and with what.

It launches nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.contract import COOKIE
from bgrscrpt_ioc.limits.limits import Confinement

BOOTSTRAP = Path(__file__).parents[1] / "child" / "bootstrap.py"
# The value of KIT_ROOT where no kit is installed.
NO_KIT = Path(__file__).parents[1] / "child" / "no_kit"


# run: run the script. standby: compile it when told, and run it when told.
Mode = Literal["run", "standby"]


@dataclass(frozen=True, slots=True)
class Order:
    """One script and all that its interpreter is given; `environ` is the whole environment."""

    script: Path
    python: str
    cwd: Path
    args: tuple[str, ...] = ()
    search_path: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    cookie: str = ""
    preload: tuple[str, ...] = ()  # modules to import before a RESTART stops the old run
    confinement: Confinement = field(default_factory=Confinement)
    # Directories of Windows: directories of this host.
    path_map: Mapping[str, str] = field(default_factory=dict)
    name: str = ""  # of the instance, so that `ps` shows whose interpreter it is
    stop_signal: str = "SIGINT"
    only_checks: bool = False  # the interpreter will not become a run

    @property
    def command(self) -> list[str]:
        """Return the interpreter's command line. What follows the bootstrap is for `ps`.

        The script does not see it; the script's path is in `stdin`.
        """
        shown = [self.name, self.script.name] if self.name else []
        check = ["(check)"] if self.only_checks else []
        return [self.python, "-I", "-u", str(BOOTSTRAP), *shown, *check]

    def stdin(self, mode: Mode) -> bytes:
        """Return what the bootstrap reads from its stdin: the length, and NUL-terminated fields."""
        fields = [mode, str(self.script), self.confinement.cgroup, self.confinement.order]
        pairs = tuple(chain.from_iterable(self.path_map.items()))
        for entries in self.args, self.search_path, self.preload, pairs:
            fields += [str(len(entries)), *entries]
        data = b"".join(os.fsencode(item) + b"\0" for item in fields)
        return b"%d\0" % len(data) + data


def waiting(cookie: str) -> str:
    """Return the cookie of an interpreter in standby, so that nobody counts it as a run."""
    head, _, run = cookie.rpartition("/")
    return f"{head}/~{run}"


def order_for(
    instance: InstanceSettings,
    environ: Mapping[str, str],
    *,
    prefix: str,
    cookie: str,
    confinement: Confinement | None = None,
) -> Order:
    """Return the order for a run of an instance's script, from an IOC with this environment."""
    return Order(
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
        instance.name,
        instance.stop_signal,
    )


def environment(
    environ: Mapping[str, str], extra: Mapping[str, str], *, prefix: str, name: str, cookie: str
) -> dict[str, str]:
    """Return the script's environment: the IOC's, the setting `env`, and what scripts rely on.

    Scripts of ISIS read `KIT_ROOT` or `EPICS_KIT_ROOT` without checking that it is set.
    """
    result = {**environ, **extra}
    kit = result.get("KIT_ROOT") or result.get("EPICS_KIT_ROOT") or str(NO_KIT)
    for variable in ("KIT_ROOT", "EPICS_KIT_ROOT"):
        result[variable] = result.get(variable) or kit
    result |= {"MYPVPREFIX": prefix, "BGRSCRPT_NAME": name, COOKIE: cookie}
    return result
