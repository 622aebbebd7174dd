"""Writes the reference pages that are made from the source: `make docs`. A test compares them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from commands_page import commands
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from states_page import states

from bgrscrpt_ioc.ca.records import PROCSERV_RECORDS, RECORDS, Record
from bgrscrpt_ioc.config.settings import InstanceSettings, IocSettings, option

REFERENCE = Path(__file__).with_name("reference")
EXAMPLES = Path(__file__).with_name("examples")
SOURCE = re.compile(r"<!-- file: (\S+) -->\n```python\n.*?^```\n", re.DOTALL | re.MULTILINE)
MADE = "<!-- Made by docs/generate.py from the source: change that, then `make docs`. -->\n"


PVS = """# PVs of an instance

{made}
Each name is preceded by `$(P)$(NAME):`, for instance `TE:NDW1234:BGRSCRPT_01:`. What a client may
write is marked; all else, and every field, is read-only. Texts are UTF-8, in waveforms of CHAR
that end with a NUL.

{records}
A command reads `Busy` from the put until the commanded state is reached. A put with callback
completes then, and fails if the state was not reached; `STATUS:MSG` says why. Writing 0 does
nothing.

## With `procserv_pvs = true`: `$(P)CS:PS:$(NAME):`

{procserv}"""

SETTINGS = """# Settings

{made}
In a TOML file (`--config FILE`), or as options of `bgrscrpt-ioc run` and `check` where one instance
is run. The command line comes before the instance's table, that before `[defaults]`, that before
the environment. Values may hold EPICS macros: `$(P)`, `${{P}}`, `$(Q=default)`; all variables of
the environment are macros, and so are those of `MACROS` and `STATE`, the state directory.

## Of the IOC: at the top of the file

{ioc}
## Of an instance: in `[instance.NAME]`, or for all in `[defaults]`

{instance}"""


def pvs() -> str:
    """The page of PVs."""
    return PVS.format(made=MADE, records=table(RECORDS), procserv=table(PROCSERV_RECORDS))


def table(records: tuple[Record, ...]) -> str:
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
    return SETTINGS.format(made=MADE, ioc=keys(ioc), instance=keys(instance))


def keys(fields: dict[str, FieldInfo]) -> str:
    """One line for each key."""
    lines = ["| key | option | kind | default | meaning |", "|---|---|---|---|---|"]
    for key, field in fields.items():
        default = "" if field.default is PydanticUndefined else shown(field.default)
        lines.append(
            f"| `{key}` | `{option(key)}` | {kind(field.annotation)} | {default} |"
            f" {field.description or ''} |"
        )
    return "\n".join(lines) + "\n"


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


def shown(value: Any) -> str:
    """A default as TOML has it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`".replace("'", '"')
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


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


if __name__ == "__main__":
    main()
