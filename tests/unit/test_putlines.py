"""Puts as caPutLog writes them: as text, and as JSON."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest

from bgrscrpt_ioc.access.putlines import Put

AT = time.mktime((2020, 8, 10, 13, 2, 8, 0, 0, -1)) + 0.124


def test_as_caputlog_writes_it() -> None:
    """The first example of caPutLog's documentation gives the same text here."""
    put = Put(AT, "devman@devWs", "ao", 77.5, 1)
    assert json.dumps(put.json(), separators=(",", ":")) == (
        '{"date":"2020-08-10","time":"13:02:08.124","host":"devWs","user":"devman","pv":"ao",'
        '"new":77.5,"old":1}'
    )
    assert put.text() == "10-Aug-20 13:02:08 devWs devman ao new=77.5 old=1"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, {"new": 1}),
        (8.0, {"new": 8}),
        (math.nan, {"new": "Nan"}),
        (-math.inf, {"new": "-Infinity"}),
        ("", {"new": [""], "new-size": 0}),
        ("ä" * 500, {"new": ["ä" * 400], "new-size": 1001}),
        (np.arange(200), {"new": list(range(100)), "new-size": 200}),
        ([4.5, 5.0, math.inf], {"new": [4.5, 5, "Infinity"], "new-size": 3}),
        (np.zeros(60), {"new": [0] * 50, "new-size": 60}),
    ],
)
def test_values(value: object, shown: dict[str, object]) -> None:
    """Texts and arrays are arrays with their size, bounded as caPutLog bounds them."""
    found = Put(AT, "u@h", "pv", value, 0).json()
    assert {key: each for key, each in found.items() if key.startswith("new")} == shown
    json.dumps(found, allow_nan=False)


def test_a_put_that_is_refused() -> None:
    """A refused put has `refused` and `why`, and neither `new` nor `old`."""
    put = Put(AT, "u@h", "pv", "a\nb", refused="no right\nto write")
    assert dict(put.json()) | {"date": "", "time": ""} == {
        "date": "", "time": "", "host": "h", "user": "u", "pv": "pv",
        "refused": ["a\nb"], "refused-size": 4, "why": "no right to write",
    }  # fmt: skip
    assert put.text().endswith(' h u pv REFUSED to put "a?b": no right to write')
