"""The lists of PVs for an archiver and ChannelFinder, from the one table of records."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bgrscrpt_ioc.cli import main as cli
from bgrscrpt_ioc.deploy.pvlists import Listed, archive, channels, listed, properties
from bgrscrpt_ioc.records.instance import InstanceRecords
from bgrscrpt_ioc.records.table import RECORDS

SITE = [Listed("A"), Listed("B", procserv=True, iocstats=True)]


def names() -> Iterator[str]:
    """Return the names of the PVs that the IOCs of the site serve."""
    for each in SITE:
        yield from InstanceRecords(
            "TE:",
            each.name,
            log_tail=16000,
            procserv_pvs=each.procserv,
            iocstats_pvs=each.iocstats,
        ).by_full_name


def test_channelfinder_has_all_pvs() -> None:
    """The channels are the PVs that are served, in the form that ChannelFinder takes."""
    found = json.loads(channels("TE:", SITE, "me"))
    assert [each["name"] for each in found] == list(names())
    assert all(set(each) == {"name", "owner", "properties", "tags"} for each in found)
    each = next(each for each in found if each["name"] == "TE:B:STATUS")
    assert {one["name"]: one["value"] for one in each["properties"]} == {
        "iocName": "B",
        "recordType": "mbbi",
        "recordDesc": "State of the script",
        "alarm": "BGRSCRPT",
        "INTEREST": "HIGH",
        "archive": "monitor@1",
    }
    assert all(
        set(one) == {"name", "owner", "value"} and one["owner"] == "me" and one["value"]
        for each in found
        for one in each["properties"]
    )


def test_channelfinder_knows_each_property() -> None:
    """The list of properties, which ChannelFinder gets first, has all that the channels use."""
    known = json.loads(properties("TE:", SITE, "me"))
    used = {
        one["name"]
        for each in json.loads(channels("TE:", SITE, "me"))
        for one in each["properties"]
    }
    assert {each["name"] for each in known} == used
    assert len(known) == len(used)


def test_archive_has_what_the_table_marks() -> None:
    """The archive list has the marked PVs: by their changes, or usage by samples."""
    found = {each["pv"]: each for each in json.loads(archive("TE:", [Listed("A")]))}
    marked = {f"TE:A:{each.name}" for each in RECORDS if "archive" in each.infos}
    assert found.keys() == marked
    assert found["TE:A:STATUS"] == {
        "pv": "TE:A:STATUS",
        "samplingmethod": "MONITOR",
        "samplingperiod": "1",
    }
    sampled = {pv for pv, each in found.items() if each["samplingmethod"] == "SCAN"}
    assert {"TE:A:CPU", "TE:A:MEMORY", "TE:A:IOC:FDS"} <= sampled
    assert not {"TE:A:STATUS", "TE:A:RESTARTS", "TE:A:SCRIPT:CHANGED"} & sampled


def test_the_settings_say_what_is_served() -> None:
    """Other names come from the instance's table, before the defaults; odd files mean No."""
    document = {
        "defaults": {"procserv_pvs": True},
        "instance": {"A": {"procserv_pvs": False, "iocstats_pvs": True}, "B": {}},
    }
    assert listed(document, ["A", "B"]) == [
        Listed("A", iocstats=True),
        Listed("B", procserv=True),
    ]
    odd = {"defaults": 1, "instance": {"A": {"procserv_pvs": "$(X)"}}}
    assert listed(odd, ["A"]) == [Listed("A")]


def test_without_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lists are of BGRSCRPT_01 where no file is given, as the IOC's own start is."""
    monkeypatch.delenv("MYPVPREFIX", raising=False)
    assert cli.main(["deploy", "archive", "--prefix", "TE:"]) == 0
    assert '"pv": "TE:BGRSCRPT_01:STATUS"' in capsys.readouterr().out
    assert cli.main(["deploy", "channelfinder", "--prefix", "TE:", "--owner", "me"]) == 0
    assert '{"name": "TE:BGRSCRPT_01:START", "owner": "me"' in capsys.readouterr().out
