"""The PV `PVS`: what it lists, and how our clients read the list and the values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.client.ownpvs import OwnPv, metadata, own_pvs, shown_value
from bgrscrpt_ioc.records.table import TAIL, Record
from bgrscrpt_ioc.script.pvlist import listed

RECORDS = (
    Record("LEVEL", "ai", "Füllstand\n", writable=False),
    Record("SP", "mbbo", "", choices=("a", "b"), writable=True),
    Record("TEXT", "waveform", "", size=10, writable=True),
    Record("X", "waveform", "", elements="DOUBLE", size=500),
)


def test_what_is_listed_is_known_to_clients() -> None:
    """A client reads from the list the name, kind, size, description and right to write of a PV."""
    assert list(own_pvs(listed(RECORDS)).values()) == [
        OwnPv("LEVEL", "ai", description="Füllstand\\n"),
        OwnPv("SP", "mbbo", writable=True),
        OwnPv("TEXT", "CHAR", writable=True, size=10),
        OwnPv("X", "DOUBLE", size=500),
    ]
    assert own_pvs(listed(())) == {}


@given(st.integers(0, 1000), st.text("ü", max_size=20))
def test_the_list_fits_its_pv(count: int, description: str) -> None:
    """If there are too many, the first are listed in whole lines, with a count of the others."""
    text = listed([Record(f"N{at:03}", "ai", description) for at in range(count)])
    assert len(text.encode()) < TAIL
    found = own_pvs(text)
    last = json.loads(text.splitlines()[-1]) if text else {}
    assert len(found) + last.get("more", 0) == count
    if count <= 100:
        assert len(found) == count
        assert all(each.description == description for each in found.values())


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_what_another_server_lists(text: str) -> None:
    """Any text in the `PVS` of another server is read without an exception."""
    own_pvs(text)
    own_pvs(json.dumps({"name": text, "kind": text, "writable": text}))
    own_pvs(json.dumps({"name": "A", "kind": f"waveform {text} {text}", "writable": True}))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("ai", 1.5, 1.5),
        ("ai", float("nan"), "nan"),
        ("ao", float("-inf"), "-inf"),
        ("longin", 3, 3),
        ("mbbi", 1, "b"),
        ("CHAR", [104, 105, 0], "hi"),
        ("DOUBLE", [1.0, float("nan")], [1.0, "nan"]),
        ("DOUBLE", 2.0, [2.0]),
        ("LONG", range(1000), [float(at) for at in range(100)]),
    ],
)
def test_values(kind: str, value: Any, expected: Any) -> None:
    """Values become JSON: a choice its text, a long array its first numbers."""
    about = metadata({"enum_strs": (b"a", b"b") if kind == "mbbi" else None, "units": "mm"})
    assert shown_value(OwnPv("A", kind), value, about["choices"]) == expected
    assert about["unit"] == "mm"
