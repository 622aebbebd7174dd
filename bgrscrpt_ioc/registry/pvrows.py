"""The PVs of an IOC name as the registry keeps them: from a script's call, cut to fit the columns.

Pure. What cannot be kept is left out and named in a warning. Nothing is raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

NAME_LIMIT = 100  # characters of any name, `VARCHAR(100)` of iocdb.sql
# Characters of a description, as the column has; ISIS's own program does not cut it.
DESC_LIMIT = 100
VALUE_LIMIT = 100  # of an info field's value, and of exe_path


@dataclass(frozen=True, slots=True)
class PvRow:
    """One PV: its full name, record type, description and info fields (name -> value)."""

    name: str
    record_type: str
    desc: str
    infos: Mapping[str, str] = field(default_factory=dict)


def pv_rows(pv_database: Mapping[Any, Any], prefix: str | None) -> tuple[list[PvRow], list[str]]:
    """Read `pv_database` and `prefix` of a `register_ioc_start` call, as ISIS's own function does.

    Returns:
        The PVs in the order of the call, and one warning for each entry that is not of the form
        `"NAME": {"type": "float", "description": "...", "info_field": {"archive": ""}}`.
    """
    rows: list[PvRow] = []
    warnings: list[str] = []
    # ISIS's function formats None into the text "none" before this point.
    before = "none" if prefix is None else prefix
    for name, pv in pv_database.items():
        infos = pv.get("info_field", {}) if isinstance(pv, Mapping) else None
        if not isinstance(name, str) or not isinstance(pv, Mapping):
            warnings.append(f"PV {brief(name)} left out: a name and a dict of its fields expected")
        elif not isinstance(infos, Mapping):
            warnings.append(f"PV {brief(name)} left out: its info_field is not a dict")
        else:
            rows.append(
                PvRow(
                    before + name,
                    _text(pv.get("type", "float")),
                    _text(pv.get("description", "")),
                    {_text(info): _text(value) for info, value in infos.items()},
                )
            )
    return rows, warnings


def fitting(rows: Iterable[PvRow]) -> tuple[tuple[PvRow, ...], list[str]]:
    """Cut descriptions and values to fit; refuse names that do not fit the columns.

    Of two rows with one name the later is kept. Blanks at the end are removed, because to MySQL
    names that differ only in them are equal (PAD SPACE).

    Returns:
        The rows to write, and one warning for each PV or info field that was refused.
    """
    kept: dict[str, PvRow] = {}
    warnings: list[str] = []
    for row in rows:
        name = clean(row.name).rstrip(" ")
        if refusal := name_refusal(name):
            warnings.append(f"PV {brief(name)} left out: {refusal}")
            continue
        infos: dict[str, str] = {}
        for info, value in row.infos.items():
            info_name = clean(info).rstrip(" ")
            if refusal := name_refusal(info_name):
                warnings.append(f"PV {brief(name)}: info {brief(info_name)} left out: {refusal}")
            else:
                infos[info_name] = clean(value)[:VALUE_LIMIT]
        kept[name] = PvRow(
            name, clean(row.record_type)[:NAME_LIMIT], clean(row.desc)[:DESC_LIMIT], infos
        )
    return tuple(kept.values()), warnings


def name_refusal(name: str) -> str:
    """Return why this cannot be a name in the registry; empty if it can."""
    if not name:
        return "it is empty"
    if len(name) > NAME_LIMIT:
        return f"{len(name)} characters, the registry holds {NAME_LIMIT}"
    return ""


def clean(text: str) -> str:
    """Return the text with `?` for lone surrogates, which neither a database nor a PV can hold."""
    return text.encode("utf-8", "replace").decode()


def brief(value: object) -> str:
    """Return a value for a message, cut if it is long."""
    text = clean(value) if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _text(value: object) -> str:
    return "" if value is None else str(value)
