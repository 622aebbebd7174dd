"""A script's pv_database, in any shape, becomes rows that fit the columns."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.registry.pvrows import PvRow, fitting, pv_rows

texts = st.text(st.characters(exclude_categories=()), max_size=130)  # lone surrogates too
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
pvs = st.fixed_dictionaries(
    {}, optional={"type": anything, "description": anything, "info_field": anything}
)


def test_as_the_original_reads_it() -> None:
    """The documented form is read with the defaults of ISIS's own function."""
    call = {
        "A": {"type": "int", "description": "d", "info_field": {"archive": "", "INTEREST": "HIGH"}},
        "B": {},
        "C": {"info_field": {"n": 3, "none": None}},
    }
    rows, warnings = pv_rows(call, "P:")
    assert rows == [
        PvRow("P:A", "int", "d", {"archive": "", "INTEREST": "HIGH"}),
        PvRow("P:B", "float", "", {}),
        PvRow("P:C", "float", "", {"n": "3", "none": ""}),
    ]
    assert warnings == []
    assert pv_rows({"A": {}}, None)[0] == [PvRow("noneA", "float", "", {})]
    assert pv_rows({"A": {}}, "")[0] == [PvRow("A", "float", "", {})]


def test_malformed_entries_are_named() -> None:
    """What is no PV is left out, with a warning that names it; the others stay."""
    rows, warnings = pv_rows({"A": 3, 7: {}, "B": {"info_field": "x"}, "C": {}}, "P:")
    assert [row.name for row in rows] == ["P:C"]
    assert [w.split(" left out")[0] for w in warnings] == ["PV 'A'", "PV '7'", "PV 'B'"]


@given(st.dictionaries(texts, pvs | anything, max_size=5), st.none() | texts)
def test_everything_fits(pv_database: dict[str, Any], prefix: str | None) -> None:
    """Each entry becomes a row that fits or a warning, and all text can be written."""
    rows, malformed = pv_rows(pv_database, prefix)
    kept, refused = fitting(rows)
    names = {row.name for row in kept}
    assert len(names) == len(kept) <= len(rows) == len(pv_database) - len(malformed)
    assert all([*refused, *malformed])
    for row in kept:
        assert 0 < len(row.name) <= 100
        assert len(row.record_type) <= 100
        assert len(row.desc) <= 100
        assert all(0 < len(k) <= 100 and len(v) <= 100 for k, v in row.infos.items())
        "".join([row.name, row.record_type, row.desc, *row.infos, *row.infos.values()]).encode()


def test_later_row_of_one_name_counts() -> None:
    """Of two rows with one name, apart from blanks at the end, the later one is kept."""
    rows, _ = fitting([PvRow("A", "ai", "old"), PvRow("B", "ai", ""), PvRow("A ", "ao", "new")])
    assert rows == (PvRow("A", "ao", "new"), PvRow("B", "ai", ""))
