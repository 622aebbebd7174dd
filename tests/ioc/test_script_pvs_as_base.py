"""PVs of scripts, held against EPICS base's own record engine with the same records.

Each is given the same values, on both sides, and read as every DBR type and in every field.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.raw import Raw
from benchmarks.rig.ca import (
    CLASS_NAME,
    ECA_NORMAL,
    HERE,
    STSACK_STRING,
    Client,
    Peer,
    ca_environ,
    free_port,
)
from bgrscrpt_ioc.ca import wire
from bgrscrpt_ioc.ca.fields import fields
from bgrscrpt_ioc.records.database import record_text
from bgrscrpt_ioc.script.pvtypes import record_of
from tests.ioc.scripted import P, Scripted
from tests.ioc.test_as_base import COUNTS, KINDS, Message, get, settled_of
from tests.unit.test_script_pvs import declared

LIMITS = {"low": -10, "high": 10, "alarm_low": -5, "alarm_high": 5}
SHOWN = {"description": "A description", "unit": "mm"}
NAMED = {"choices": ("zero", "one", "two")}


@dataclass(frozen=True)
class Case:
    """A PV: how the script makes it, and what is put or set."""

    initial: str
    options: dict[str, Any]
    values: tuple[Any, ...]


CASES: dict[str, Case] = {
    "float": Case("0.0", {**LIMITS, **SHOWN, "precision": 2}, (2.345, 7.5, -6.0, 55.0, 1.0)),
    "int": Case("0", {**LIMITS, **SHOWN}, (2, 7, -6, 55, 1)),
    "bool": Case("False", {"choices": ("Off", "On"), "description": "x"}, (1, 0, 1)),
    "choice": Case("'zero'", {**NAMED, "description": "x"}, (2, 0, 1)),
    "text": Case("''", {"size": 50, "description": "x"}, ("hello", "bye")),
    "floats": Case("[0.0]", {"size": 5, **SHOWN, "low": 0, "high": 9}, (1.5, 2.5)),
    "ints": Case("[0]", {"size": 5, **SHOWN}, (3, -4)),
}
NAMES = {
    f"{'W' if writable else 'R'}_{kind.upper()}": (kind, writable)
    for kind in CASES
    for writable in (False, True)
}
# fmt: off
TEXTS = (
    "8", " 8", "8 ", "\t8", "8\n", "\x0b8", "\xa08", "+8", "-8", "--8", "+ 8", "8 8", "8 mm",
    "8mm", "8abc", "8.7", "-8.7", "1.", ".", ".5", "1,5", "1e1", "1E3", "5e", "5e+", "e5",
    "1e400", "-1e400", "1e-400", "1e-310", "2.3e-308", "0e-999", "0x10", "0X1F", "-0x10", "0x",
    "0x1", "0x1 ", "0x.8", "0x1p3", "0x1.8", "0x1p5000", "0x1p-2000", "010", "07", "08", "0b11",
    "0o7", "1_0", "\u0663", "99999999999", "4294967295", "2147483647", "2147483648",
    "-2147483648", "-2147483649", "nan", "NaN", "-nan", "nan(12)", "inf", "-inf", "Infinity",
    "infinit", "abc", "", " ", "On", "Off", "one", "zero", " one", "one ", "ONE", "+one", "0",
    "1", "-1", "1 ", " 1", "01", "1 x", "2", "3", "16", "65536", "1.0", "True", "False", "Yes",
)
# fmt: on
ODD = 35  # from this type on base sends what it finds in its memory, if one asks for more than one
# What base's records have of their being processed or put to, and of when.
THEIRS = {"ACKS", "LCNT", "PUTF", "UTAG"}


def made(name: str) -> Any:
    kind, writable = NAMES[name]
    options = CASES[kind].options
    more = {"choices": ("False", "True")} if kind == "bool" and "choices" not in options else {}
    return record_of(declared(name, type=kind, writable=writable, **{**options, **more}))


@dataclass
class Both:
    """Base's server and ours, each with a client."""

    base: Client
    ours: Client
    ports: tuple[int, int]
    scripted: Scripted

    def give(self, name: str, value: Any) -> None:
        """Give the PV a value: base's by a put, ours by a put or by the script."""
        data = [*value.encode(), 0] if isinstance(value, str) else value
        assert self.base.put_callback(P + name, data) == ECA_NORMAL
        if NAMES[name][1]:
            assert self.ours.put_callback(P + name, data) == ECA_NORMAL
        else:
            one = [value] if NAMES[name][0] in ("floats", "ints") else value
            self.scripted.done(f"pvs[{name!r}].set({one!r})")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    directory: Path = tmp_path_factory.mktemp("as_base")
    database, port = directory / "script.db", free_port()
    database.write_text("".join(map(record_text, map(made, NAMES))))
    begin = "pvs = {}\n" + "".join(
        f"pvs[{name!r}] = bgrscrpt.pv({name!r}, {CASES[kind].initial}, writable={writable},"
        f" **{CASES[kind].options!r})\n"
        for name, (kind, writable) in NAMES.items()
    )
    command = [sys.executable, str(HERE / "softioc_peer.py"), str(database)]
    with ExitStack() as stack:
        peer = Peer([*command, "P=TE:,NAME=BGRSCRPT_01"], ca_environ(port))
        stack.enter_context(peer)
        assert b"rror" not in peer.errors, peer.errors
        base = stack.enter_context(Client(port))
        scripted = stack.enter_context(Scripted(directory, begin))
        yield Both(base, scripted.client, (port, scripted.ioc.port), scripted)


def without_padding(case: tuple[int, int], answer: Message) -> bytes:
    """Leave out what base leaves as it was in its memory, behind the last element too."""
    kind, count, payload = case[0], answer[3], answer[6]
    if kind in (STSACK_STRING, CLASS_NAME):
        front, at = (6, 8) if kind == STSACK_STRING else (0, 0)
        return payload[:front] + payload[at:].partition(b"\0")[0]  # no ACKS: nobody acknowledges
    size = wire.SIZES[wire.native(kind)]
    front = len(wire.metadata(kind, wire.Meta()))
    return settled_of(case, (*answer[:6], payload[: front + count * size]))


def fits(value: Any, kind: int) -> bool:
    """Tell whether a value has the type's range: else base wraps it, and we take the nearest."""
    return isinstance(value, str) or value >= 0 or wire.native(kind) not in (wire.ENUM, wire.CHAR)


@pytest.mark.parametrize("name", NAMES)
def test_values_of_every_type(both: Both, name: str) -> None:
    """As every DBR type, with any count, the whole answer is base's, after each value."""
    for value in CASES[NAMES[name][0]].values:
        both.give(name, value)
        found: list[list[object]] = []
        for port in both.ports:
            with Raw(port) as client:
                (sid,) = client.create(P + name)
                kinds = [each for each in KINDS if fits(value, each)]
                cases = [(kind, n) for kind in kinds for n in COUNTS if n == 1 or kind < ODD]
                answers = [(case, get(client, sid, *case)) for case in cases]
                found.append([(c, *each[:6], without_padding(c, each)) for c, each in answers])
        for base, ours in zip(*found, strict=True):
            assert ours == base, value
        alarms = [
            {key: each.read(P + name, 14)[key] for key in ("severity", "status")}
            for each in (both.base, both.ours)
        ]
        assert alarms[1] == alarms[0], value


@pytest.mark.parametrize("name", NAMES)
def test_fields(both: Both, name: str) -> None:
    """Type, count and value of every field are those of base's record, after each value."""
    names = sorted(set(fields(made(name).kind)) - THEIRS)
    pvs = [f"{P}{name}.{field}" for field in names]
    for value in CASES[NAMES[name][0]].values:
        both.give(name, value)
        theirs, ours = both.base.read_all(pvs), both.ours.read_all(pvs)
        keys = ("type", "count", "value")
        wrong = {
            field: (their and their["value"], our and our["value"])
            for field, their, our in zip(names, theirs, ours, strict=True)
            if their is None or our is None or any(their[key] != our[key] for key in keys)
        }
        assert not wrong, f"{value}: base's and ours: {wrong}"


@pytest.mark.parametrize("mask", [1, 2, 4, 5, 7])
@pytest.mark.parametrize("name", ["R_FLOAT", "W_FLOAT", "R_INT", "W_CHOICE", "R_FLOATS"])
def test_monitors(both: Both, name: str, mask: int) -> None:
    """With each mask a monitor is told of what base tells it."""
    values = CASES[NAMES[name][0]].values
    both.give(name, values[-1])  # another than the first: base's waveform posts what it had, too
    seen = [each.monitor(P + name, mask) for each in (both.base, both.ours)]
    for value in values:
        both.give(name, value)
    both.give(name, values[0])
    for each in (both.base, both.ours):
        each.read(P + name)  # all events have come before this answer
    told = [[(e["value"], e["severity"], e["status"]) for e in each.events] for each in seen]
    for each in seen:
        each.cancel()
    assert told[1][1:] == told[0][1:]


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name.startswith("W_") and "TEXT" not in name]
)
def test_texts_that_are_put(both: Both, name: str) -> None:
    """A text is taken as the same number or choice as base takes it, or refused."""
    # An empty text is base's choice of a state that has no name; we have no such states.
    texts = [each for each in TEXTS if each or name != "W_CHOICE"]
    found: list[list[object]] = []
    for client in (both.base, both.ours):
        first = 0.0 if "FLOAT" in name else 0
        answers: list[object] = []
        for text in texts:
            assert client.put_callback(P + name, first) == ECA_NORMAL
            answers.append((text, client.put_callback(P + name, text), client.get(P + name)))
        found.append(answers)
    assert list(map(repr, found[1])) == list(map(repr, found[0]))
