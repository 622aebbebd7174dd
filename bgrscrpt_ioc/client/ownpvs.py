"""The PVs that a script has made, as a client knows them from the PV `PVS` and their changes.

Pure. The IOC is not trusted: whatever comes is bounded, and nothing is raised.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgrscrpt_ioc.client.pvs import text
from bgrscrpt_ioc.output.loglines import visible

MOST = 1000  # PVs of a script
LARGEST = 10_000  # elements of an array that is followed
SHOWN = 100  # elements of an array that are shown
_NAME = re.compile(r"[A-Z0-9_:]{1,60}")


@dataclass(frozen=True, slots=True)
class OwnPv:
    """One PV of a script; `size` is 1 except for an array or a text."""

    name: str
    kind: str  # kind of the record, such as "ai"; for an array or a text "DOUBLE", "LONG" or "CHAR"
    writable: bool = False
    description: str = ""
    size: int = 1

    @property
    def is_text(self) -> bool:
        """Return whether its value is a text."""
        return self.kind == "CHAR"

    @property
    def is_array(self) -> bool:
        """Return whether its value is a list of numbers."""
        return self.kind in ("DOUBLE", "LONG")

    @property
    def is_followed(self) -> bool:
        """Return whether its value is shown; a longer array would cost too much."""
        return not self.is_array or self.size <= LARGEST


def own_pvs(listed: str) -> dict[str, OwnPv]:
    """Return the PVs in the text of `PVS`, by name; lines that say something else are left out."""
    found: dict[str, OwnPv] = {}
    for line in listed.splitlines()[:MOST]:
        try:
            one = json.loads(line)
            name, (kind, *more) = one["name"], one["kind"].split(" ")
            if _NAME.fullmatch(name):
                elements, size = (more[0], int(more[1])) if more else (kind, 1)
                description = visible(str(one.get("description", "")))
                found[name] = OwnPv(name, elements, one["writable"] is True, description, size)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            continue  # `more`, or a line of a later version
    return found


def shown_value(pv: OwnPv, value: Any, choices: Sequence[str] = ()) -> Any:
    """Return a value for JSON: the text of a choice, the first numbers of an array.

    Raises:
        ValueError, IndexError, TypeError: the value is not of this PV: another server has the name.
    """
    if pv.is_text:
        return text(value)
    if pv.is_array:
        try:
            return [_finite(float(each)) for each in value[:SHOWN]]
        except (TypeError, IndexError):  # a single element comes as a number
            return [_finite(float(value))]
    if choices:
        return choices[int(value)]
    return _finite(value if isinstance(value, int) else float(value))


def value_for(pv: OwnPv, value: Any) -> float | str | list[float]:
    """Return a user's value for a PV, from JSON, in the form that is put.

    Raises:
        ValueError: the PV cannot have it; the text says what it can have.
    """
    if pv.is_text:
        if isinstance(value, str):
            return value
        raise ValueError("a text")
    if pv.is_array:
        if isinstance(value, list):
            return [_number(each) for each in value]
        raise ValueError("a list of numbers")
    return value if isinstance(value, str) else _number(value)


def _number(value: Any) -> float:
    try:
        if isinstance(value, (int, float)):
            return float(value)
    except OverflowError:
        pass
    raise ValueError("a number")


def _finite(number: float) -> float | str:
    """Return a number that JSON can hold, or a text: `nan`, `inf`."""
    return number if math.isfinite(number) else str(number)


def metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what libca knows of a PV besides its value."""
    choices = found.get("enum_strs") or ()
    return {
        "unit": visible(str(found.get("units") or "")),
        "choices": [_decoded(each) for each in choices],
        "low": _limit(found.get("lower_disp_limit")),
        "high": _limit(found.get("upper_disp_limit")),
    }


def _decoded(choice: Any) -> str:
    return visible(choice.decode("utf-8", "replace") if isinstance(choice, bytes) else str(choice))


def _limit(number: Any) -> float | None:
    is_number = isinstance(number, (int, float)) and math.isfinite(number)
    return number if is_number and abs(number) < 1e300 else None
