"""The records of an instance as an EPICS database file: db/bgrscrpt.template, macros P and NAME.

The IOC does not read the file. Tools do that configure alarms and archives. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.records.table import RECORDS, Record

HEAD = """\
# The records of one instance of bgrscrpt-ioc, for tools that read databases; the IOC does not.
# Made by `bgrscrpt-ioc db`: change bgrscrpt_ioc/records/table.py instead.
# % macro, P,    PV prefix of the instrument, e.g. TE:NDW1234:
# % macro, NAME, name of the instance, e.g. BGRSCRPT_01
"""

# The beginnings of the field names of an mbbi's sixteen states.
STATES = (
    "ZR", "ON", "TW", "TH", "FR", "FV", "SX", "SV", "EI", "NI", "TE", "EL", "TV", "TT", "FT", "FF",
)  # fmt: skip


class Ftype(IntEnum):
    """The types of a waveform's elements: the part of base's menuFtype that we use."""

    CHAR = 1
    LONG = 5
    DOUBLE = 10


Setting = str | int | float  # an IntEnum is a menu; its name is the choice


def database() -> str:
    """Return the whole file."""
    return "\n".join([HEAD, *map(record_text, RECORDS)])


def settings(record: Record) -> Mapping[str, Setting]:
    """Return the fields that a database file must set for this record: name -> value."""
    values: dict[str, Setting] = {"DESC": record.desc}
    if record.egu:
        values["EGU"] = record.egu
    if record.kind in ("ai", "ao") or record.elements == "DOUBLE":
        values["PREC"] = record.prec
    if record.high:
        values["HOPR"] = record.high
    if record.low:
        values["LOPR"] = record.low
    if record.kind in ("ao", "longout") and record.low < record.high:
        values |= {"DRVL": record.low, "DRVH": record.high}
    for field, severity, limit in zip(
        ("LOLO", "HIHI"), ("LLSV", "HHSV"), record.alarms, strict=True
    ):
        if limit is not None:
            values |= {field: limit, severity: Severity.MAJOR}
    if record.kind in ("bi", "bo"):
        values |= zip(("ZNAM", "ONAM"), record.choices, strict=True)
    elif record.kind in ("mbbi", "mbbo"):
        values |= {f"{state}ST": text for state, text in zip(STATES, record.choices, strict=False)}
        values |= {f"{STATES[at]}SV": Severity(each) for at, each in record.severities.items()}
    elif record.kind == "waveform":
        values |= {"FTVL": Ftype[record.elements], "NELM": record.size}
    return values


def shown(value: Setting) -> str:
    """Return a value as a database file has it: a choice by its name, 100 and not 100.0."""
    if isinstance(value, IntEnum):
        return value.name
    return f"{value:g}" if isinstance(value, float) else str(value)


def record_text(record: Record) -> str:
    """Return one record, with the macros P and NAME in its name."""
    return "\n".join(
        [f'record({record.kind}, "$(P)$(NAME):{record.name}")', "{", *_lines(record), "}", ""]
    )


def _lines(record: Record) -> Iterator[str]:
    for name, value in settings(record).items():
        yield f"    field({name}, {_quoted(shown(value))})"
    for name, value in record.infos.items():
        yield f"    info({name}, {_quoted(value)})"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
