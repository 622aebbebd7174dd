"""The table of the records: complete, and within what EPICS and its clients can show."""

from __future__ import annotations

import re

import pytest

from bgrscrpt_ioc.ca.fields import field_of, fields
from bgrscrpt_ioc.lifecycle.events import Severity, State
from bgrscrpt_ioc.records.database import settings, shown
from bgrscrpt_ioc.records.instance import registry_rows
from bgrscrpt_ioc.records.table import IOCSTATS_RECORDS, PROCSERV_RECORDS, RECORDS, Record

ALL = [*RECORDS, *PROCSERV_RECORDS, *IOCSTATS_RECORDS]
BY_NAME = {record.name: record for record in RECORDS}

STATES = "ZRST ONST TWST THST FRST FVST SXST"

# Section 2 of the design: the contract with everybody outside.
CONTRACT = {
    "bo": "START STOP RESTART CHECK STACK AUTORESTART",
    "mbbi": "STATUS",
    "waveform 1024": "STATUS:MSG LOG:LINE LOG:FILE ERROR SCRIPT SCRIPT:MSG IOC:CONFIG",
    "waveform 16000": "HISTORY HISTORY:TEXT LOG PVS STACK:TEXT TRACEBACK IOC:INSTANCES",
    "waveform 2048": "LINKS",
    "waveform 256": "PYTHON REGISTRY:MSG MESSAGE IOC:HOST",
    "waveform 65": "SCRIPT:SHA256",
    "int64in": "LOG:COUNT LOG:DROPPED",
    "longin": "EXITCODE PID STARTS RESTARTS PROCS THREADS HEARTBEAT IOC:PID IOC:CLIENTS IOC:FDS",
    "stringin": "EXITREASON STARTTIME SCRIPT:GIT IOC:VERSION IOC:STARTTIME",
    "ai s": "UPTIME RETRYIN IOC:UPTIME",
    "ai %": "CPU PROGRESS IOC:CPU",
    "ai MB": "MEMORY IOC:MEMORY",
    "bi": "SCRIPT:CHANGED REGISTERED",
}


def test_all_records_of_the_contract_are_there() -> None:
    """Every PV of the design has its record type, unit and size, and there are no others."""
    found: dict[str, set[str]] = {}
    for record in RECORDS:
        more = (
            record.size if record.kind == "waveform" else record.egu if record.kind == "ai" else ""
        )
        found.setdefault(f"{record.kind} {more}".strip(), set()).add(record.name)
    assert found == {kind: set(names.split()) for kind, names in CONTRACT.items()}


@pytest.mark.parametrize("record", ALL, ids=[record.name for record in ALL])
def test_texts_fit(record: Record) -> None:
    """Names, descriptions, units and choices are not cut by any client."""
    assert re.fullmatch(r"[A-Z0-9_:]+", record.name)
    # DESC holds 40 characters, but as a DBR_STRING, which has to end with a NUL, 39.
    assert 0 < len(record.desc.encode()) <= 39
    assert len(record.egu.encode()) <= 7
    assert len(record.choices) <= 16
    assert all(0 < len(choice.encode()) <= 25 for choice in record.choices)


def test_clients_write_only_commands_and_the_switch() -> None:
    """Clients can write only commands and AUTORESTART: no code, path or reading."""
    writable = {record.name for record in RECORDS if record.writable}
    assert writable == {"START", "STOP", "RESTART", "CHECK", "STACK", "AUTORESTART"}


def test_status_has_the_states_and_their_severities() -> None:
    """The choices are the states in their order; Backoff and Failed are in alarm."""
    status = BY_NAME["STATUS"]
    assert [choice.upper() for choice in status.choices] == [state.name for state in State]
    assert settings(status) == {
        "DESC": "State of the script",
        **dict(zip(STATES.split(), status.choices, strict=True)),
        "FVSV": Severity.MINOR,
        "SXSV": Severity.MAJOR,
    }
    assert shown(settings(status)["SXSV"]) == "MAJOR"


def test_fields_of_a_record() -> None:
    """A field has what the record sets, else the default of its type; there may be no such."""
    progress = BY_NAME["PROGRESS"]
    values = {}
    for name in ("NAME", "RTYP", "EGU", "PREC", "HOPR", "LOPR", "ASLO", "DISP", "SSCN"):
        field = field_of(progress, "TE:X:PROGRESS", name)
        assert field is not None
        values[name] = field.value
    assert values == {
        "NAME": "TE:X:PROGRESS",
        "RTYP": "ai",
        "EGU": "%",
        "PREC": 1,
        "HOPR": 100,
        "LOPR": 0,
        "ASLO": 1,
        "DISP": 0,
        "SSCN": 65535,
    }
    assert field_of(progress, "TE:X:PROGRESS", "ZNAM") is None
    assert "VAL" not in fields("ai")


def test_numbers_are_written_as_numbers() -> None:
    """A database file gets 100 and not 100.0."""
    assert shown(settings(BY_NAME["PROGRESS"])["HOPR"]) == "100"
    assert shown(100.0) == "100"
    assert shown(0.5) == "0.5"


def test_registry_rows() -> None:
    """The registry gets every record by its full name, with its info fields."""
    rows = {row.name: row for row in registry_rows("TE:", "BGRSCRPT_02")}
    assert len(rows) == len(RECORDS)
    status = rows["TE:BGRSCRPT_02:STATUS"]
    assert (status.record_type, status.desc) == ("mbbi", "State of the script")
    assert status.infos == {"alarm": "BGRSCRPT", "INTEREST": "HIGH", "archive": "VAL"}


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.name)
def test_what_the_database_sets_is_what_is_served(record: Record) -> None:
    """Every field that the database file sets is served, with that value."""
    for name, value in settings(record).items():
        served = field_of(record, "TE:X", name)
        assert served is not None
        assert served.value == value
