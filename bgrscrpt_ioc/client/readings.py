"""Reads instances for client commands: the rows of `status`, and all readings of one for `info`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.libca import leave_context, point_at, point_at_all
from bgrscrpt_ioc.client.pvs import PvReading, number, read, text
from bgrscrpt_ioc.lifecycle.events import Severity, State
from bgrscrpt_ioc.records.table import RECORDS, Record

NUMBERS = (
    "STATUS", "PID", "UPTIME", "STARTS", "RESTARTS", "EXITCODE", "CPU", "MEMORY", "PROGRESS",
)  # fmt: skip
TEXTS = ("STATUS:MSG", "SCRIPT", "IOC:INSTANCES", "EXITREASON", "ERROR")
LONG = ("LOG", "HISTORY", "HISTORY:TEXT", "PVS")  # `log` and `history` show them; PVS is JSON
HUNG = "Running, no heartbeat"

Row = dict[str, Any]


def status_rows(instances: Sequence[Instance], interfaces: Sequence[str]) -> list[Row]:
    """Return the state of each instance; STATUS is None if no IOC answers for it.

    Instances with one full name, of IOCs at several ports, are searched for one after the other.
    """
    rows: dict[Instance, Row] = {}
    for at, place in enumerate(places(instances)):
        if at:
            leave_context()
        point_at_place(place, interfaces)
        found = read([name for each in place for name in pvs_of(each)])
        rows |= {each: row_of(each, found) for each in place}
    return [rows[each] for each in instances]


def read_of_all(
    instances: Sequence[Instance], interfaces: Sequence[str], key: str
) -> dict[Instance, PvReading]:
    """Return the reading of one PV of each instance that answers."""
    readings: dict[Instance, PvReading] = {}
    for at, place in enumerate(places(instances)):
        if at:
            leave_context()
        point_at_place(place, interfaces)
        found = read([each.pv + key for each in place])
        readings |= {each: found[each.pv + key] for each in place if each.pv + key in found}
    return readings


def places(instances: Sequence[Instance]) -> list[list[Instance]]:
    """Divide instances so that no part has two with one full name."""
    parts: list[dict[str, Instance]] = []
    for each in instances:
        part = next((part for part in parts if each.full_name not in part), None)
        if part is None:
            parts.append(part := {})
        part[each.full_name] = each
    return [list(part.values()) for part in parts]


def point_at_place(instances: Sequence[Instance], interfaces: Sequence[str]) -> None:
    """Make libca search for all of these instances."""
    where = dict.fromkeys((each.port, each.hosts, each.is_here) for each in instances)
    if len(where) == 1 and not instances[0].hosts and not instances[0].is_here:
        point_at(instances[0].port, interfaces)
    else:
        point_at_all(where, interfaces)


def pvs_of(instance: Instance) -> list[str]:
    """Return the names of the PVs that a row needs."""
    return [instance.pv + key for key in (*NUMBERS, *TEXTS)]


def row_of(instance: Instance, found: Mapping[str, PvReading]) -> Row:
    """Return the row of an instance from readings of its PVs."""

    def value(key: str) -> Any:
        reading = found.get(instance.pv + key)
        return None if reading is None else reading.value

    status = found.get(f"{instance.pv}STATUS")
    row: Row = {
        "NAME": instance.name,
        "PREFIX": instance.prefix,
        "PORT": instance.port,
        "FOUND": instance.source,
    }
    row |= {key: number(value(key)) for key in NUMBERS}
    row["STATUS"] = None if status is None else _state(status.value)
    row["SEVERITY"] = None if status is None else Severity(status.severity).name
    return row | {key: text(value(key)) for key in TEXTS}


def _state(value: Any) -> str:
    return State(value).name.capitalize()


def is_hung(row: Row) -> bool:
    """Return whether the script of a row runs and its heartbeat is missing."""
    return row["STATUS"] == "Running" and row["SEVERITY"] == "MAJOR"


def in_trouble(row: Row) -> bool:
    """Return whether somebody is needed: the script has failed for good, or hangs."""
    return row["STATUS"] == "Failed" or is_hung(row)


def urgency(row: Row) -> tuple[int, str, str]:
    """Return a sorting key: rows that need somebody come first."""
    alarmed = row["SEVERITY"] not in (None, "NO_ALARM")
    rank = 0 if in_trouble(row) else 1 if row["STATUS"] is None else 2 if alarmed else 3
    return rank, row["PREFIX"], row["NAME"]


def in_words(row: Row) -> str:
    """Return the state of a row in words for people."""
    if row["STATUS"] is None:
        return "no answer"
    if is_hung(row):
        return HUNG
    alarmed = row["STATUS"] == "Running" and row["SEVERITY"] != "NO_ALARM"
    return "Running, in alarm" if alarmed else row["STATUS"]


def all_readings(instance: Instance) -> Row:
    """Return all readings of an instance, without commands and LONG; empty if no IOC answers."""
    records = [each for each in RECORDS if each.name not in LONG and not is_command(each)]
    found = read([instance.pv + each.name for each in records])
    return {
        each.name: shown(each, found[instance.pv + each.name].value)
        for each in records
        if instance.pv + each.name in found
    }


def is_command(record: Record) -> bool:
    return record.kind == "bo" and record.name != "AUTORESTART"


def shown(record: Record, value: Any) -> Any:
    if record.choices:
        return record.choices[int(value)]
    if record.kind in ("waveform", "stringin"):
        return text(value)
    return int(value) if record.kind in ("longin", "int64in") else number(value)
