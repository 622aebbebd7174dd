"""Values as Channel Access has them: whatever comes, the bytes keep to the layout."""

from __future__ import annotations

import math
import struct
from contextlib import suppress

import pytest
from caproto import ChannelType
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.records.procserv import newest

CODES = {"CHAR": "B", "ENUM": "H", "INT": "h", "LONG": "i", "FLOAT": "f", "DOUBLE": "d"}
NUMBERS = st.integers() | st.floats()
NATIVES = st.sampled_from([ChannelType[name] for name in CODES])


@given(NATIVES, st.lists(NUMBERS, max_size=5))
def test_all_numbers_can_be_packed(kind: ChannelType, values: list[float]) -> None:
    """Whatever number is published, there is something to send; small whole numbers are exact."""
    packed = struct.unpack(f">{len(values)}{CODES[kind.name]}", wire.pack(kind, values))
    for value, found in zip(values, packed, strict=True):
        assert found == value or value not in range(128)


@given(NATIVES, st.lists(st.integers(0, 127), max_size=5), st.binary(max_size=8))
def test_what_is_packed_can_be_put(kind: ChannelType, values: list[int], more: bytes) -> None:
    """A put has as many elements as it says; bytes after them are padding."""
    assert wire.unpack(kind, len(values), wire.pack(kind, values) + more) == values


@given(st.lists(st.binary(max_size=39).filter(lambda text: b"\0" not in text), min_size=1))
def test_strings_can_be_put(texts: list[bytes]) -> None:
    """Strings end at their NUL; the zeros at the end of the last one may be missing."""
    payload = b"".join(text.ljust(40, b"\0") for text in texts)
    assert wire.unpack(ChannelType.STRING, len(texts), payload) == texts
    short = payload[: 40 * (len(texts) - 1) + len(texts[-1]) + 1]
    assert wire.unpack(ChannelType.STRING, len(texts), short) == texts


@given(st.sampled_from(list(ChannelType)), st.integers(1, 9), st.binary(max_size=30))
def test_too_few_bytes_cannot_be_put(kind: ChannelType, count: int, payload: bytes) -> None:
    """A put with too few bytes, or of no plain type, is refused with an error and nothing else."""
    with suppress(wire.ConversionError):
        assert len(wire.unpack(kind, count, payload)) == count


@pytest.mark.parametrize(
    ("kind", "value", "packed"),
    [
        ("CHAR", 300, 255),
        ("CHAR", -1, 0),
        ("INT", -40_000, -(2**15)),
        ("LONG", 2**40, 2**31 - 1),
        ("LONG", math.inf, 2**31 - 1),
        ("LONG", 2.9, 2),
        ("DOUBLE", 2**40, 2.0**40),
        ("FLOAT", 1e300, 3.4028234663852886e38),
        ("FLOAT", -math.inf, -math.inf),
    ],
)
def test_range(kind: str, value: float, packed: float) -> None:
    """Numbers are cut to the range of the type, and to whole numbers as in C."""
    data = wire.pack(ChannelType[kind], [value])
    assert struct.unpack(f">{CODES[kind]}", data) == (packed,)


@given(st.lists(st.text()))
def test_strings_are_40_bytes_with_their_nul(texts: list[str]) -> None:
    """Each text is UTF-8 that is whole and ends with a NUL."""
    data = wire.pack_strings(texts)
    assert len(data) == 40 * len(texts)
    for at, text in enumerate(texts):
        string = data[40 * at : 40 * at + 40]
        assert string[39] == 0
        shown = string.rstrip(b"\0").decode()
        assert text.startswith(shown)


@given(st.lists(st.from_regex(r"[ -~]{0,60}", fullmatch=True)))
def test_texts_of_ascii_are_packed_the_same(texts: list[str]) -> None:
    """The faster way for texts of numbers gives the same bytes."""
    assert wire.pack_ascii(texts) == wire.pack_strings(texts)


@given(NATIVES, st.binary(max_size=64), st.integers(0, 9))
def test_padded_is_exact(kind: ChannelType, data: bytes, count: int) -> None:
    """There are exactly as many elements as were asked for, with zeros after the existing ones."""
    padded = wire.padded(data, kind, count)
    assert len(padded) == count * struct.calcsize(f">{CODES[kind.name]}")
    assert padded.rstrip(b"\0") == data[: len(padded)].rstrip(b"\0")


@given(NATIVES, st.binary(max_size=64), st.integers(0, 9))
def test_what_is_put_is_a_number_or_a_text(kind: ChannelType, data: bytes, count: int) -> None:
    """Whatever bytes a client puts, the record gets a number, a text, or nothing."""
    with suppress(wire.ConversionError):
        value = wire.first(kind, count, data)
        assert isinstance(value, str if kind is ChannelType.STRING else (int, float))
        assert "\0" not in str(value)


@pytest.mark.parametrize(
    "kind", [kind for kind in ChannelType if kind <= ChannelType.CTRL_DOUBLE], ids=lambda k: k.name
)
def test_metadata_of_every_type(kind: ChannelType) -> None:
    """Every DBR type up to CTRL_DOUBLE can be made from the metadata of any record."""
    meta = wire.Meta(7, 2, 1_700_000_000_123_456_789, "degreesC", 3, (0, 300), choices=("a", "b"))
    data = bytes(wire.metadata(kind, meta))
    if kind >= ChannelType.STS_STRING:
        assert data[:4] == b"\0\7\0\2"
    if ChannelType.TIME_STRING <= kind <= ChannelType.TIME_DOUBLE:
        assert struct.unpack(">II", data[4:12]) == (1_700_000_000 - 631152000, 123_456_789)


@given(st.text(alphabet="aЖ\n", max_size=60), st.integers(4, 40))
def test_newest_lines(text: str, size: int) -> None:
    """The newest whole lines that fit are kept; of a line that does not fit, its beginning."""
    kept = newest(text, size)
    assert len(kept.encode()) <= size
    assert text.endswith(kept) or text.rpartition("\n")[2].startswith(kept)
