"""Finds the instances of an IOC registry."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from bgrscrpt_ioc.registry.dbconnection import IocDb
from bgrscrpt_ioc.registry.iocdb import iocs, pvs
from bgrscrpt_ioc.registry.registry import read_instances

ROWS = (
    ("BGRSCRPT_01", "TE:A:BGRSCRPT_01:STATUS"),
    ("BGRSCRPT_01", "TE:A:BGRSCRPT_01:SCRIPT:SHA256"),
    ("BGRSCRPT_02", "BGRSCRPT_02:SCRIPT:SHA256"),
    ("GALIL_01", "TE:A:MOT:MTR0101"),
    ("OTHER", "TE:A:BGRSCRPT_09:SCRIPT:SHA256"),
)


def test_instances_of_a_registry(tmp_path: Path) -> None:
    """Each instance is known by a PV that no other IOC has, whatever its prefix is."""
    url = f"sqlite:///{tmp_path}/iocdb.sqlite"
    with IocDb(url).session():
        pass
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for name in sorted({name for name, _ in ROWS}):
            connection.execute(sa.insert(iocs).values(iocname=name))
        for name, pv in ROWS:
            connection.execute(
                sa.insert(pvs).values(pvname=pv, iocname=name, record_type="x", record_desc="")
            )
    engine.dispose()
    assert read_instances(url) == [("", "BGRSCRPT_02"), ("TE:A:", "BGRSCRPT_01")]
