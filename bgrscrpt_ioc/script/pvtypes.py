"""The types of the PVs that a script may make: the record of each, and how values are encoded.

child/_bgrscrpt_values.py is the script's side of it.
"""

from __future__ import annotations

import re
import sys
from array import array
from binascii import b2a_base64
from typing import Any

from bgrscrpt_ioc.output.loglines import cut, visible
from bgrscrpt_ioc.process.messages import PvMade
from bgrscrpt_ioc.records.table import ARCHIVED, Elements, Kind, Record

LONGEST_NAME = 60  # characters of a full name, as in EPICS base
MAX_ELEMENTS, MAX_TEXT = 100_000, 4096  # elements of an array; bytes of a text, its NUL included
MOST_CHOICES = 16
LARGEST = 1.7976931348623157e308  # stands for a limit that the script has not set
LOWEST, HIGHEST = -(2**31), 2**31 - 1
DESC, EGU, CHOICE = 40, 15, 25  # bytes that the fields of base hold

_NAME = re.compile(r"[A-Z0-9_:]+")
_KINDS: dict[str, tuple[Kind, Kind]] = {  # read-only, writable
    "float": ("ai", "ao"),
    "int": ("longin", "longout"),
    "bool": ("bi", "bo"),
    "choice": ("mbbi", "mbbo"),
    "text": ("waveform", "waveform"),
    "floats": ("waveform", "waveform"),
    "ints": ("waveform", "waveform"),
}
_ELEMENTS: dict[str, Elements] = {"text": "CHAR", "floats": "DOUBLE", "ints": "LONG"}
_BYTES = {"text": 1, "floats": 8, "ints": 4}


class NotServedError(ValueError):
    """A PV cannot be served. The text says why, and what to do."""


def record_of(made: PvMade) -> Record:
    """Return the record by which a PV is served.

    Raises:
        NotServedError: the PV cannot be served.
    """
    if not _NAME.fullmatch(made.name):
        raise NotServedError("a name of A-Z, 0-9, _ and : expected")
    choices = tuple(_fitting(each, CHOICE) for each in made.choices)
    least, most = {"bool": (2, 2), "choice": (2, MOST_CHOICES)}.get(made.type, (0, 0))
    if not least <= len(choices) <= most:
        raise NotServedError(f"a number of choices from {least} to {most} expected")
    low, high = _limits(made)
    most_elements = MAX_TEXT if made.type == "text" else MAX_ELEMENTS
    return Record(
        made.name,
        _KINDS[made.type][made.writable],
        _fitting(made.description, DESC),
        _fitting(made.unit, EGU),
        made.precision if made.type in ("float", "floats") else 0,
        high,
        low,
        (made.alarm_low, made.alarm_high),
        max(1, min(made.size, most_elements)),
        _ELEMENTS.get(made.type, "CHAR"),
        choices,
        writable=made.writable,
        infos=ARCHIVED if made.archive else {},
        made=True,
    )


def _limits(made: PvMade) -> tuple[float, float]:
    if made.low is None and made.high is None:
        return 0, 0
    least, most = (LOWEST, HIGHEST) if made.type == "int" else (-LARGEST, LARGEST)
    low = least if made.low is None else max(least, made.low)
    high = most if made.high is None else min(most, made.high)
    if low >= high:
        raise NotServedError("low is not below high")
    return low, high


def _fitting(text: str, size: int) -> str:
    return cut(text, size).decode()


def bytes_of(made: PvMade) -> int:
    """Return how many bytes the value may have at most."""
    return made.size * _BYTES.get(made.type, 8)


def decoded(made: PvMade, data: bytes) -> Any:
    """Return a value for the record, from the bytes that the script's interpreter has sent.

    Raises:
        ValueError: the bytes are no value of this type.
    """
    match made.type:
        case "float":
            return float(data)
        case "int":
            number = int(data)
            if not LOWEST <= number <= HIGHEST:
                raise ValueError("a number of more than 32 bits")
            return number
        case "bool" | "choice":
            return int(data)
        case "text":
            return visible(data.decode("utf-8", "replace"), lines=True)
        case _:
            numbers = array("d" if made.type == "floats" else "i")
            numbers.frombytes(data)
            if sys.byteorder == "big":
                numbers.byteswap()
            return numbers


def for_script(value: Any) -> Any:
    """Return a value that a client puts as it is sent to the script's interpreter, in JSON.

    An array is its bytes in Base64: 100,000 numbers as JSON would take 70 ms, in the event loop.
    """
    if not isinstance(value, array):
        return value
    if sys.byteorder == "big":
        value = array(value.typecode, value)
        value.byteswap()
    return b2a_base64(value, newline=False).decode()
