"""Writes reference pages, screens and the database from the source: `make docs`.

Tests compare them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from commands_page import commands
from pydantic.fields import FieldInfo
from states_page import states

from bgrscrpt_ioc.config.iocsettings import IocSettings, option
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.ioc.plan import OF_IOC, OF_PVS, OF_RUN
from bgrscrpt_ioc.records.database import database
from bgrscrpt_ioc.records.screens import shipped
from bgrscrpt_ioc.records.table import IOCSTATS_RECORDS, PROCSERV_RECORDS, RECORDS, Record

REFERENCE = Path(__file__).with_name("reference")
EXAMPLES = Path(__file__).with_name("examples")
DATABASE = Path(__file__).parents[1] / "db"
SOURCE = re.compile(r"<!-- file: (\S+) -->\n```python\n.*?^```\n", re.DOTALL | re.MULTILINE)
MADE = "<!-- Made by docs/generate.py from the source: change that, then `make docs`. -->\n"


PVS = """# PVs of an instance

{made}
The full name of a PV begins with `$(P)$(NAME):`, for instance `TE:NDW1234:BGRSCRPT_01:STATUS`. Clients may write only the PVs
with "yes" in the column "write". Everything else is read-only, all fields included. A text is UTF-8 in a waveform of CHAR and
ends with a NUL. [At two in the morning](../how-to/at-two-in-the-morning.md) says what to do about each alarm.

{records}
## With `procserv_pvs = true`: `$(P)CS:PS:$(NAME):`

These PVs have the names and texts of procServControl.

{procserv}
## With `iocstats_pvs = true`: `$(P)CS:IOC:$(NAME):DEVIOS:`

These PVs have the names, types and units of devIocStats' `ioc.template`. They describe the IOC process that serves the
instance. All of them are read-only: no PV ends the IOC. Where devIocStats has a calc, calcout or sub, the record here is an ai.
Records of the scan queues of EPICS base are left out.

{iocstats}"""

# The groups of the records and of the settings: what begins each, its heading, what stands below.
PV_GROUPS = {
    "START": (
        "Commands",
        "Write 1. The PV then reads `Busy` until the commanded state is reached. A put with callback completes at that moment. It fails if the state was not reached, and `STATUS:MSG` says why. Writing 0 does nothing. `AUTORESTART` is a switch: write `Off` or `On`.",
    ),
    "STATUS": ("State", "[States](states.md) describes each state."),
    "LOG": ("Output", ""),
    "ERROR": ("Errors and stacks", ""),
    "EXITCODE": ("Runs", ""),
    "SCRIPT": ("The script", ""),
    "REGISTERED": ("IOC registry", ""),
    "CPU": ("Use of the host", "All processes of the script are counted."),
    "HEARTBEAT": (
        "What the script says",
        "The script sets these PVs by the module [`bgrscrpt`](scripts.md#import-bgrscrpt).",
    ),
    "IOC:VERSION": (
        "The IOC process that serves the instance",
        "`IOC:CLIENTS` and `IOC:FDS` are in MINOR alarm from 80 % of their limit on, and in MAJOR alarm from 95 % on. `IOC:CPU` is in MINOR alarm from 70 % of a processor on, and in MAJOR alarm from 80 % on.",
    ),
}
SETTING_GROUPS = {
    "script": ("What runs", ""),
    "at_start": (
        "When it starts",
        "[States](states.md) describes the states that these settings lead to.",
    ),
    "stop_signal": ("How it stops, and when it hangs", ""),
    "notify": ("Who is told, and what follows a change", ""),
    "memory_max": ("Limits", "See [Limit a script](../how-to/limit-a-script.md)."),
    "procserv_pvs": ("Further PVs and logs", ""),
}

SETTINGS = """# Settings

{made}
Write settings into a TOML file (`--config FILE`). If you run one instance, you may instead give them as options of
`bgrscrpt-ioc run` and `check`. An option comes before the table of the instance, that before `[defaults]`, and that before the
environment. Tables such as `env` are merged, key by key.

Values may hold EPICS macros: `$(P)`, `${{P}}`, `$(Q=default)`. All variables of the environment are macros, and so are those of
the variable `MACROS`, and `STATE`, the state directory.

`bgrscrpt-ioc check --config FILE` says whether the settings are good.

The last column says what
[a reload](../how-to/change-the-configuration-of-a-running-ioc.md) does if the key has changed. The
IOC takes the key on while the script goes on (`yes`), the IOC restarts a script that runs
(`restart`), or the IOC refuses the reload and must be started again (`no`).

## The IOC: at the top of the file

{ioc}
## An instance: in `[instance.NAME]`, or for all instances in `[defaults]`

{instance}"""


def pvs() -> str:
    """The page of PVs."""
    return PVS.format(
        made=MADE,
        records="\n".join(
            f"## {heading}\n\n{text}{table(members)}"
            for heading, text, members in grouped(
                {record.name: record for record in RECORDS}, PV_GROUPS
            )
        ),
        procserv=table(PROCSERV_RECORDS),
        iocstats=table(IOCSTATS_RECORDS),
    )


Each = TypeVar("Each")


def grouped(
    named: Mapping[str, Each], groups: Mapping[str, tuple[str, str]]
) -> list[tuple[str, str, list[Each]]]:
    """Return heading, text and members of each group; a group begins at the name that it has."""
    found: list[tuple[str, str, list[Each]]] = []
    for name, each in named.items():
        if name in groups:
            heading, text = groups[name]
            found.append((heading, f"{text}\n\n" if text else "", []))
        found[-1][2].append(each)
    if len(found) < len(groups):
        raise ValueError(f"no such name begins a group: {groups.keys() - named.keys()}")
    return found


def table(records: Sequence[Record]) -> str:
    """One line for each record."""
    lines = ["| PV | record | write | meaning |", "|---|---|---|---|"]
    for record in records:
        kind = record.kind + (f" CHAR {record.size}" if record.kind == "waveform" else "")
        unit = f" ({record.egu})" if record.egu else ""
        choices = f": {', '.join(f'`{choice}`' for choice in record.choices)}"
        text = record.desc + unit + (choices if record.choices else "")
        written = "yes" if record.writable else ""
        lines.append(f"| `{record.name}` | {kind} | {written} | {text} |")
    return "\n".join(lines) + "\n"


def settings() -> str:
    """The page of settings."""
    instance = {k: v for k, v in InstanceSettings.model_fields.items() if k != "name"}
    ioc = {k: v for k, v in IocSettings.model_fields.items() if k != "instances"}
    groups = grouped({key: (key, field) for key, field in instance.items()}, SETTING_GROUPS)
    return SETTINGS.format(
        made=MADE,
        ioc=keys(ioc),
        instance="\n".join(
            f"### {heading}\n\n{text}{keys(dict(members))}" for heading, text, members in groups
        ),
    )


def keys(fields: dict[str, FieldInfo]) -> str:
    """One line for each key."""
    lines = ["| key | option | kind | default | meaning | reload |", "|---|---|---|---|---|---|"]
    for key, field in fields.items():
        meaning, _, default = (field.description or "").removesuffix(").").partition(" (default: ")
        if default not in ("", "none") and " " not in default:
            default = f"`{default}`"
        lines.append(
            f"| `{key}` | `{option(key)}` | {kind(field.annotation)} | {default} |"
            f" {meaning.removesuffix('.')} | {reloaded(key)} |"
        )
    return "\n".join(lines) + "\n"


def reloaded(key: str) -> str:
    """What a reload does with a key that has changed."""
    if key in OF_RUN:
        return "restart"
    return "no" if key in OF_PVS | OF_IOC else "yes"


def kind(annotation: Any) -> str:
    """What a value is, in a word."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " ".join(f"`{choice}`" for choice in inside)
    if origin is tuple:
        return "list"
    if origin is not None and "Mapping" in str(origin):
        return "table"
    names = {bool: "boolean", float: "number", int: "integer", Path: "path", str: "text"}
    return names.get(annotation, "text")


def made(page: Callable[[], str]) -> Callable[[], str]:
    """Have a page say how it was made."""
    return lambda: page().replace("{made}", MADE)


def with_sources(page: str) -> str:
    """A page with each block of code below `<!-- file: NAME -->` being that file as it is."""

    def block(found: re.Match[str]) -> str:
        source = (REFERENCE.parents[1] / found[1]).read_text(encoding="utf-8")
        return f"<!-- file: {found[1]} -->\n```python\n{source}```\n"

    return SOURCE.sub(block, page)


PAGES = {
    "commands.md": made(commands),
    "pvs.md": pvs,
    "settings.md": settings,
    "states.md": made(states),
}


def main() -> None:
    """Write them all."""
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
    for path in EXAMPLES.glob("*.md"):
        path.write_text(with_sources(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name, text in {**shipped(), "bgrscrpt.template": database()}.items():
        (DATABASE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
