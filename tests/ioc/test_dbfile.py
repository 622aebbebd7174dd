"""The database file works in EPICS base's record engine, and our records are like its records."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import epicscorelibs
import pytest

from benchmarks.rig.ca import CTRL, HERE, Client, Peer, ca_environ, free_port
from bgrscrpt_ioc.ca.fields import fields
from bgrscrpt_ioc.records.database import database
from bgrscrpt_ioc.records.table import RECORDS, Kind, Record
from tests.ioc.served import P

TEMPLATE = HERE.parents[1] / "db" / "bgrscrpt.template"
DBD = Path(epicscorelibs.__file__).parent / "dbd"
FIELD = re.compile(r"field\((\w+)\s*,\s*DBF_(?!NOACCESS)\w+\)")

# Base's records were never processed, and ours are live: these values therefore differ.
ALIVE = {"STAT", "SEVR", "UDF", "NORD", "VAL"}
EXAMPLES = {record.kind: record for record in RECORDS}  # one of each kind, the last


@pytest.fixture(scope="module")
def base() -> Iterator[Client]:
    port = free_port()
    command = [sys.executable, str(HERE / "softioc_peer.py"), str(TEMPLATE)]
    with ExitStack() as stack:
        peer = Peer([*command, "P=TE:,NAME=BGRSCRPT_01"], ca_environ(port))
        stack.enter_context(peer)
        assert b"rror" not in peer.errors
        yield stack.enter_context(Client(port))


def test_file_is_up_to_date() -> None:
    """The template in the repository is what `bgrscrpt-ioc db` prints."""
    assert TEMPLATE.read_text() == database(), "run: bgrscrpt-ioc db > db/bgrscrpt.template"


def test_every_record_is_loaded(base: Client) -> None:
    """Base parses the file and serves every record, with the type and description of the table."""
    names = [f"{P}{record.name}" for record in RECORDS]
    kinds = base.read_all([f"{name}.RTYP" for name in names])
    descriptions = base.read_all([f"{name}.DESC" for name in names])
    assert [each and each["value"] for each in kinds] == [record.kind for record in RECORDS]
    assert [each and each["value"] for each in descriptions] == [record.desc for record in RECORDS]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_all_fields_of_base_are_known(kind: Kind) -> None:
    """Our table has every field of a record type that base serves, and no other."""
    text = (DBD / "dbCommon.dbd").read_text() + (DBD / f"{kind}Record.dbd").read_text()
    assert {*FIELD.findall(text), "RTYP"} - {"VAL"} == set(fields(kind))


@pytest.mark.parametrize("record", EXAMPLES.values(), ids=EXAMPLES)
def test_fields_are_as_base_serves_them(base: Client, client: Client, record: Record) -> None:
    """Type, count and value of every field are those of base's record."""
    names = sorted(fields(record.kind))
    pvs = [f"{P}{record.name}.{name}" for name in names]
    theirs = dict(zip(names, base.read_all(pvs), strict=True))
    ours = dict(zip(names, client.read_all(pvs), strict=True))
    for name in names:
        their, our = theirs[name], ours[name]
        assert their is not None, name
        assert our is not None, name
        for key in ("type", "count") if name in ALIVE else ("type", "count", "value"):
            assert our[key] == their[key], f"{name}: {key}"


def test_records_are_as_base_serves_them(base: Client, client: Client) -> None:
    """Type, count and metadata of every record are those of base's record."""
    for record in RECORDS:
        pv = f"{P}{record.name}"
        theirs, ours = base.connect(pv), client.connect(pv)
        assert ours == {**theirs, "writable": int(record.writable)}, pv
        their, our = (each.read(pv, CTRL + theirs["type"]) for each in (base, client))
        for changing in ("value", "status", "severity"):
            del their[changing], our[changing]
        assert repr(our) == repr(their), pv  # as text: NaN is not equal to itself
