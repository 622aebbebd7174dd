"""A put as a line of a log: in caPutLog's form for people, and as caPutLog's JSON. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bgrscrpt_ioc.access.complaints import printable

LONGEST_TEXT = 40  # characters of a value that are shown to people
SHOWN = 3  # elements of an array that are shown to people
# What caPutLog has of a value in 400 bytes:
JSON_TEXT, JSON_INTEGERS, JSON_NUMBERS = 400, 100, 50


@dataclass(frozen=True, slots=True)
class Put:
    """Who has put what: at a time, s since the epoch, by `user@host`."""

    at: float
    by: str
    pv: str
    new: object
    old: object = None  # unless it is refused
    refused: str = ""  # why, if it is not carried out

    def text(self) -> str:
        """Return `24-Nov-26 12:00:00 host user pv new=1 old=0`.

        A put that is refused has no `new=`, and says REFUSED.
        """
        user, _, host = self.by.partition("@")
        begin = f"{datetime.fromtimestamp(self.at):%d-%b-%y %H:%M:%S} {host} {user} {self.pv}"
        if self.refused:
            return f"{begin} REFUSED to put {shown(self.new)}: {printable(self.refused)}"
        return f"{begin} new={shown(self.new)} old={shown(self.old)}"

    def json(self) -> Mapping[str, Any]:
        """Return the object that caPutLog writes; times are local.

        A put that is refused has `refused`, the value, in place of `new` and `old`, and `why`.
        """
        user, _, host = self.by.partition("@")
        moment = datetime.fromtimestamp(self.at)
        found: dict[str, Any] = {
            "date": f"{moment:%Y-%m-%d}",
            "time": moment.time().isoformat("milliseconds"),
            "host": host,
            "user": user,
            "pv": self.pv,
        }
        if self.refused:
            return found | _value("refused", self.new) | {"why": printable(self.refused)}
        return found | _value("new", self.new) | _value("old", self.old)


def shown(value: object) -> str:
    """Return a value as caPutLog writes it: a choice by its number, a text in quotes; one line."""
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, array)):
        more = f" ... {len(value)} elements" if len(value) > SHOWN else ""
        return f"[{', '.join(map(shown, value[:SHOWN]))}{more}]"
    text = "".join(each if each.isprintable() else "?" for each in str(value))[:LONGEST_TEXT]
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(key: str, value: object) -> dict[str, Any]:
    """Return a value under its key; of a text or an array its size too."""
    if isinstance(value, int):
        return {key: int(value)}
    if isinstance(value, float):
        return {key: _number(value)}
    if (listed := getattr(value, "tolist", None)) is not None:  # of numpy
        value = listed()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        most = JSON_INTEGERS if all(isinstance(each, int) for each in value) else JSON_NUMBERS
        numbers = [each if isinstance(each, int) else _number(each) for each in value[:most]]
        return {key: numbers, f"{key}-size": len(value)}
    text = str(value)
    size = len(text.encode("utf-8", "replace")) + 1 if text else 0  # its NUL is an element too
    return {key: [text[:JSON_TEXT]], f"{key}-size": size}


def _number(number: float) -> float | str:
    """Return a number as caPutLog has it in JSON, which has no number for some."""
    if math.isnan(number):
        return "Nan"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
