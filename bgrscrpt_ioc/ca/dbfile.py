"""The instance's records as an EPICS database file: db/bgrscrpt.template, macros P and NAME.

The IOC does not read it; it is for tools that want a database (alarm and archive configuration).
"""

from __future__ import annotations

from collections.abc import Iterator

from bgrscrpt_ioc.ca.fields import menu_text, settings
from bgrscrpt_ioc.ca.records import RECORDS, Record

HEAD = """\
# The records of one instance of bgrscrpt-ioc, for tools that read databases; the IOC does not.
# Made by `bgrscrpt-ioc db`: change bgrscrpt_ioc/ca/records.py instead.
# % macro, P,    PV prefix of the instrument, e.g. TE:NDW1234:
# % macro, NAME, name of the instance, e.g. BGRSCRPT_01
"""


def database() -> str:
    """The whole file."""
    return "\n".join([HEAD, *map(_text, RECORDS)])


def _text(record: Record) -> str:
    return "\n".join(
        [f'record({record.kind}, "$(P)$(NAME):{record.name}")', "{", *_lines(record), "}", ""]
    )


def _lines(record: Record) -> Iterator[str]:
    for name, value in settings(record).items():
        yield f"    field({name}, {_quoted(menu_text(record, name, value))})"
    for name, value in record.infos.items():
        yield f"    info({name}, {_quoted(value)})"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
