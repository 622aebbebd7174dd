"""Every setting, PV and command is described: what it is, its unit and its default.

The reference pages, `--help`, the database and the screens all show these texts.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import pytest
from commands_page import subcommands
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bgrscrpt_ioc.cli.parser import parser
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.records.table import IOCSTATS_RECORDS, PROCSERV_RECORDS, RECORDS, Record

FIELDS = {**IocSettings.model_fields, **InstanceSettings.model_fields}
SETTINGS = {key: FIELDS[key] for key in FIELDS if key not in ("name", "instances")}
COMMANDS = subcommands(parser())
OPTIONS = [
    pytest.param(option, id=f"{name} {(option.option_strings or [option.dest])[-1]}")
    for name, command in COMMANDS.items()
    for option in command._actions
    if option.dest not in ("help", "names", "name", "switch", "shell", "how", "run")
]
# What a number counts: how its description begins, or what it has at its end.
UNITS = re.compile(
    r"(Seconds|Bytes|Megabytes|Days|Percent|Number|Niceness|Milliseconds|Minutes)\b|.*\bport\b"
)
DEFAULT = re.compile(r" \(default: (.+)\)\.$")
# A sentence or a noun phrase: it begins with a capital letter and ends with a full stop.
WHOLE = re.compile(r"[A-Z$`].*[^ .]\.", re.DOTALL)


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting(key: str) -> None:
    """A setting has a whole description with its unit and its true default."""
    field = SETTINGS[key]
    text = field.description or ""
    assert WHOLE.fullmatch(text)
    if is_number(field):
        assert UNITS.match(text), "begin with the unit"
    said = DEFAULT.search(text)
    if key != "script":
        assert said, "end with (default: ...)."
        assert same(field, said[1])


def is_number(field: FieldInfo) -> bool:
    """Whether the values of a setting are numbers."""
    kinds = {field.annotation, *get_args(field.annotation)}
    return bool(kinds & {int, float}) and bool not in kinds


def same(field: FieldInfo, said: str) -> bool:
    """Whether a description has the default of its field; a few defaults come from elsewhere."""
    value: Any = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or said.startswith("$"):
        return True
    if isinstance(value, bool):
        return said == str(value).lower()
    if isinstance(value, int | float):
        return said == f"{value:g}"
    if isinstance(value, Mapping | tuple) or value is None:
        return said == "none" if not value else True
    return said == value


def test_choices_are_explained() -> None:
    """The description of a setting with choices has more words than choices."""
    for key, field in SETTINGS.items():
        if get_origin(field.annotation) is Literal:
            choices = get_args(field.annotation)
            assert len((field.description or "").split()) > 2 * len(choices), key


@pytest.mark.parametrize("record", [*RECORDS, *PROCSERV_RECORDS], ids=lambda record: record.name)
def test_a_pv(record: Record) -> None:
    """A PV has a phrase that begins with a capital letter; a number that has a unit has EGU."""
    assert re.fullmatch(r"[A-Z].* .*[^ .]", record.desc)
    if re.search(r"\b(Time|Length|time)\b", record.desc) and record.kind == "ai":
        assert record.egu


def test_names_of_devIocStats_stay() -> None:  # noqa: N802 - as the others write it
    """Descriptions under the names of devIocStats are its own, and are there."""
    assert all(each.desc for each in IOCSTATS_RECORDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command(name: str) -> None:
    """A command is described by a sentence that begins with a verb."""
    text = COMMANDS[name].description or ""
    assert WHOLE.fullmatch(text)
    assert not text.split()[0].endswith("s"), "begin with a verb, as in: Print ..."


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option(option: argparse.Action) -> None:
    """An option has a whole description, and one with a default names the default."""
    text = (option.help or "").replace("%%", "%")
    text = re.sub(r"^(mail|webhook|put|procserv|kubernetes|ibex): ", "", text)
    text = text[:1].upper() + text[1:]
    assert WHOLE.fullmatch(text)
    if option.default not in (None, False, "", [], argparse.SUPPRESS):
        assert "(default: " in text
