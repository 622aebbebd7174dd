"""The JSON that a script's interpreter writes without `import json`."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.child._bgrscrpt_json import encoded

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_written_reads_the_same(value: Any) -> None:
    """What is written reads the same: any text in ASCII; a value that JSON lacks becomes a text."""
    written = encoded(value)
    assert written.isascii()
    assert json.loads(written) == json.loads(json.dumps(value), parse_constant=infinity)


@given(st.text(st.characters()) | st.sampled_from(["\ud800", 'a"b', "a\\b", "\x7f", "\U0001f600"]))
def test_texts(text: str) -> None:
    """Quotes, backslashes, control characters, surrogates and characters beyond the BMP survive."""
    assert json.loads(encoded(text)) == text


def infinity(name: str) -> str:
    return {"Infinity": "inf", "-Infinity": "-inf"}[name]
