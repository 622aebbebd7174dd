"""Makes lists of the instances' PVs, for an archiver and for ChannelFinder. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bgrscrpt_ioc.records.iocstats import iocstats_prefix
from bgrscrpt_ioc.records.procserv import procserv_prefix
from bgrscrpt_ioc.records.table import IOCSTATS_RECORDS, PROCSERV_RECORDS, RECORDS, Record

USAGE_PERIOD = 60  # s between two samples of a PV that changes all the time


@dataclass(frozen=True, slots=True)
class Listed:
    """An instance, and whether the IOC serves it under other names too."""

    name: str
    procserv: bool = False
    iocstats: bool = False


def listed(document: Mapping[str, Any], names: Iterable[str]) -> list[Listed]:
    """Return the instances `names` of a settings file; `document` is the file's TOML."""
    defaults, tables = document.get("defaults"), document.get("instance")

    def flag(name: str, key: str) -> bool:
        table = tables.get(name) if isinstance(tables, Mapping) else None
        levels = [each for each in (table, defaults) if isinstance(each, Mapping)]
        return next((each[key] for each in levels if key in each), False) is True

    return [Listed(each, flag(each, "procserv_pvs"), flag(each, "iocstats_pvs")) for each in names]


def archive(prefix: str, instances: Iterable[Listed]) -> str:
    """Return the PVs to archive, in the form of the Archiver Appliance's `archivePV`."""
    return _json(
        {"pv": pv, "samplingmethod": method.upper(), "samplingperiod": str(period)}
        for _, pv, record in _records(prefix, instances)
        if "archive" in record.infos
        for method, period in [_sampling(record)]
    )


def channels(prefix: str, instances: Iterable[Listed], owner: str) -> str:
    """Return all PVs with their properties, in the form of ChannelFinder.

    The properties are those of recsync's recceiver: `iocName`, `recordType`, `recordDesc`, and the
    records' info tags. `archive` has the form of ChannelFinder's processor for the archiver.
    """
    return _json(
        {
            "name": pv,
            "owner": owner,
            "properties": [
                {"name": name, "owner": owner, "value": value}
                for name, value in _properties(instance, record).items()
            ],
            "tags": [],
        }
        for instance, pv, record in _records(prefix, instances)
    )


def properties(prefix: str, instances: Iterable[Listed], owner: str) -> str:
    """Return the properties, which ChannelFinder needs before the channels."""
    names = {
        name: None
        for instance, _, record in _records(prefix, instances)
        for name in _properties(instance, record)
    }
    return _json({"name": name, "owner": owner} for name in names)


def _properties(instance: str, record: Record) -> dict[str, str]:
    found = {"iocName": instance, "recordType": record.kind, "recordDesc": record.desc}
    found |= record.infos
    if "archive" in record.infos:
        method, period = _sampling(record)
        found["archive"] = f"{method}@{period}"
    return found


def _records(prefix: str, instances: Iterable[Listed]) -> Iterator[tuple[str, str, Record]]:
    """Yield the name of the instance, the name of the PV and the record, for each PV."""
    for each in instances:
        sets = [(f"{prefix}{each.name}:", RECORDS)]
        if each.procserv:
            sets.append((procserv_prefix(prefix, each.name), PROCSERV_RECORDS))
        if each.iocstats:
            sets.append((iocstats_prefix(prefix, each.name), IOCSTATS_RECORDS))
        for begin, records in sets:
            for record in records:
                yield each.name, begin + record.name, record


def _sampling(record: Record) -> tuple[str, int]:
    """Return method and period: changes or, for usage, which always changes, samples."""
    usage = record.live and record.kind in ("ai", "longin")
    return ("scan", USAGE_PERIOD) if usage else ("monitor", 1)


def _json(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a JSON array with one line for each element."""
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]\n"
