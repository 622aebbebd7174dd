"""The PVs that scripts make, by any interleaving of runs, values and puts."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.process.messages import PutEnded, PvMade, PvSet
from bgrscrpt_ioc.records.alarm import AlarmStatus
from bgrscrpt_ioc.records.directory import Directory
from bgrscrpt_ioc.records.kinds import live
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.records.table import RECORDS
from bgrscrpt_ioc.script.pvputs import MAX_PUT_BYTES, MAX_PUTS
from bgrscrpt_ioc.script.pvs import MAX_PVS, NotServedError, ScriptPvs

P = "TE:BGRSCRPT_01:"
NAMES = ("A", "B", "C")


def declared(name: str, **changed: Any) -> PvMade:
    """A writable PV of a float, but for what is changed."""
    plain = {
        "type": "float", "description": "", "unit": "", "precision": 3, "low": None, "high": None,
        "alarm_low": None, "alarm_high": None, "choices": (), "writable": True, "keep": False,
        "archive": False, "size": 1,
    }  # fmt: skip
    return PvMade(name, **{**plain, **changed})


def number(value: float) -> bytes:
    """A float as the script's side sends it."""
    return repr(float(value)).encode()


class Handles:
    """The script's side of one run, as child/_bgrscrpt_puts.py has it."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.told: list[dict[str, Any]] = []

    def tell(self, line: bytes) -> bool:
        command = json.loads(line)
        if command["kind"] == "put":
            self.told.append(command)
        return True


class Interleavings(RuleBasedStateMachine):
    """Runs come and go; PVs are made, set and put to; the script takes puts, or never does."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Directory({})
        self.pvs = ScriptPvs("TE:", "BGRSCRPT_01", self.directory)
        self.script: Handles | None = None
        self.made: set[str] = set()  # in this run
        self.known: set[str] = set()
        self.shown: dict[str, float] = {}  # when the last run ended
        self.completed: list[list[str]] = []

    def record(self, name: str) -> LiveRecord:
        return self.directory.by_full_name[P + name]

    @rule()
    def begin(self) -> None:
        self.script, self.made = Handles(), set()
        self.pvs.began(self.script.tell)
        self._remember()

    @rule()
    def end(self) -> None:
        self.script = None
        self.pvs.ended()
        self._remember()

    def _remember(self) -> None:
        self.shown = {name: self.record(name).value for name in self.known}

    @precondition(lambda self: self.script is not None)
    @rule()
    def stop(self) -> None:
        self.pvs.stopping()

    @rule()
    def become_healthy(self) -> None:
        self.pvs.healthy()
        self.known &= self.made if self.script is not None or self.made else set()

    @precondition(lambda self: self.script is not None)
    @rule(name=st.sampled_from(NAMES), value=st.integers(-5, 5))
    def make(self, name: str, value: int) -> None:
        assert self.script is not None
        if name not in self.script.values:
            self.pvs.make(declared(name))
            self.known.add(name)
            self.made.add(name)
        self.set(name, value)

    @precondition(lambda self: self.script is not None)
    @rule(name=st.sampled_from(NAMES), value=st.integers(-5, 5))
    def set(self, name: str, value: int) -> None:
        assert self.script is not None
        if name in self.made:
            self.script.values[name] = float(value)
            self.pvs.set(PvSet(name, None, number(value)))

    @rule(name=st.sampled_from(NAMES), value=st.integers(-5, 5))
    def put(self, name: str, value: int) -> None:
        if name in self.known:
            answers: list[str] = []
            self.completed.append(answers)
            puts = self.record(name).puts
            assert puts is not None
            puts.begin(float(value), "a@h", answers.append)

    @precondition(lambda self: self.script is not None and self.script.told)
    @rule(
        how=st.sampled_from(["returns", "raises", "sets another", "sets and raises"]),
        value=st.integers(-5, 5),
    )
    def take(self, how: str, value: int) -> None:
        """The script takes its oldest put."""
        assert self.script is not None
        command = self.script.told.pop(0)
        name, before = command["pv"], self.script.values[command["pv"]]
        put = self.script.values[name] = command["value"]
        if "sets" in how:
            self.set(name, value)
        holds = self.script.values[name] is put
        if "raises" in how and holds:
            self.script.values[name] = before
        problem = "ValueError" if "raises" in how else ""
        self.pvs.put_ended(PutEnded(command["number"], problem, holds and not problem))

    @rule(number=st.integers(-1, 1000))
    def answer_nothing(self, number: int) -> None:
        """A script that says that a put has ended which is none changes nothing."""
        if self.script is None or number not in [each["number"] for each in self.script.told]:
            self.pvs.put_ended(PutEnded(number, "", holds=True))

    @invariant()
    def each_put_is_completed_once(self) -> None:
        waiting = len(self.script.told) if self.script is not None else 0
        assert all(len(each) <= 1 for each in self.completed)
        assert sum(not each for each in self.completed) == waiting

    @invariant()
    def those_that_are_known_are_served(self) -> None:
        assert set(self.directory.by_full_name) == {P + name for name in self.known}

    @invariant()
    def invalid_exactly_while_no_run_serves_it(self) -> None:
        for name in self.known:
            served = self.script is not None and name in self.made
            assert (self.record(name).severity is Severity.INVALID) == (not served)
            if not served:
                assert self.record(name).status is AlarmStatus.COMM
                assert self.record(name).value == self.shown[name]

    @invariant()
    def what_is_shown_is_what_the_script_has(self) -> None:
        if self.script is not None:
            waiting = {each["pv"] for each in self.script.told}
            for name in self.made - waiting:
                assert self.record(name).value == self.script.values[name]

    def teardown(self) -> None:
        self.pvs.ended()
        assert all(len(each) == 1 for each in self.completed)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@pytest.fixture
def directory() -> Directory:
    return Directory({P + each.name: live(P + each.name, each) for each in RECORDS})


@pytest.fixture
def pvs(directory: Directory) -> ScriptPvs:
    """The PVs of a script that runs."""
    pvs = ScriptPvs("TE:", "BGRSCRPT_01", directory)
    pvs.began(lambda _line: True)
    return pvs


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (declared("a"), "a name of A-Z"),
        (declared(""), "a name of A-Z"),
        (declared("A" * 60), "more than 60 characters"),
        (declared("START"), "is a PV of the IOC"),
        (declared("STATUS:MSG"), "is a PV of the IOC"),
        (declared("A", low=1, high=1), "low is not below high"),
        (declared("A", type="choice", choices=("x",)), "a number of choices from 2 to 16"),
        (declared("A", type="floats", size=100_000, keep=True), "10,000 numbers in all"),
    ],
)
def test_what_cannot_be_served(pvs: ScriptPvs, made: PvMade, why: str) -> None:
    """A PV that cannot be is refused, in words for the script's author."""
    with pytest.raises(NotServedError, match=why):
        pvs.make(made)
    pvs.set(PvSet(made.name, None, b"1.0"))  # is not said to be lost: it was said why


def test_numbers_and_sizes_are_bounded(pvs: ScriptPvs) -> None:
    """A script has 1,000 PVs, and arrays of so many bytes; those of earlier runs make room."""
    for at in range(MAX_PVS):
        pvs.make(declared(f"A{at}"))
    with pytest.raises(NotServedError, match="at most 1000 PVs"):
        pvs.make(declared("ONE_MORE"))
    pvs.began(lambda _line: True)
    for at in range(40):
        pvs.make(declared(f"ARRAY{at}", type="floats", size=100_000))
    with pytest.raises(NotServedError, match="give `size`"):
        pvs.make(declared("ARRAY", type="floats", size=100_000))
    assert len(pvs.rows) == 40


def test_puts_that_wait_are_bounded(pvs: ScriptPvs, directory: Directory) -> None:
    """A put more than so many, or more than so many bytes, fails at once; so does one not taken."""
    taken = True
    pvs.began(lambda _line: taken)
    pvs.make(declared("A"))
    pvs.set(PvSet("A", None, b"1.0"))
    record = directory.by_full_name[P + "A"]
    answers: list[str] = []
    assert record.puts is not None
    for _ in range(MAX_PUTS + 1):
        record.puts.begin(2.0, "a@h", answers.append)
    assert answers == ["the script does not take the puts that wait"]
    pvs.ended()
    assert len(answers) == MAX_PUTS + 1
    pvs.began(lambda _line: True)
    pvs.make(declared("XS", type="floats", size=100_000))
    pvs.set(PvSet("XS", None, b""))
    long = directory.by_full_name[P + "XS"].puts
    assert long is not None
    for _ in range(MAX_PUT_BYTES // 800_000 + 1):
        long.begin(array("d", [1.0]), "a@h", answers.append)
    assert len(answers) == MAX_PUTS + 2
    pvs.ended()
    del answers[MAX_PUTS + 1 :]
    pvs.began(lambda _line: False)
    pvs.make(declared("A"))
    pvs.set(PvSet("A", None, b"1.0"))
    record.puts.begin(2.0, "a@h", answers.append)
    assert (len(answers), record.value) == (MAX_PUTS + 2, 1.0)


def test_a_pv_that_is_made_in_another_way(pvs: ScriptPvs, directory: Directory) -> None:
    """By a later run: it is another PV, to which clients connect anew. By the same: refused."""
    pvs.make(declared("A"))
    first = directory.by_full_name[P + "A"]
    pvs.make(declared("A"))
    with pytest.raises(NotServedError, match="a second time"):
        pvs.make(declared("A", type="int"))
    pvs.began(lambda _line: True)
    pvs.make(declared("A"))
    assert directory.by_full_name[P + "A"] is first
    pvs.began(lambda _line: True)
    pvs.make(declared("A", type="int"))
    assert directory.by_full_name[P + "A"] is not first


Alarms = Callable[[float], tuple[Severity, AlarmStatus]]


@pytest.mark.parametrize(
    ("value", "severity", "expected"),
    [
        (0.0, None, (Severity.NO_ALARM, AlarmStatus.NO_ALARM)),
        (10.0, None, (Severity.MAJOR, AlarmStatus.HIHI)),
        (-10.0, None, (Severity.MAJOR, AlarmStatus.LOLO)),
        (float("nan"), None, (Severity.INVALID, AlarmStatus.UDF)),
        (10.0, 0, (Severity.NO_ALARM, AlarmStatus.NO_ALARM)),
        (0.0, 1, (Severity.MINOR, AlarmStatus.SOFT)),
    ],
)
def test_alarms(
    pvs: ScriptPvs, directory: Directory, value: float, severity: int | None, expected: object
) -> None:
    """By the limits, unless the script says which."""
    pvs.make(declared("A", alarm_low=-10, alarm_high=10))
    pvs.set(PvSet("A", severity, number(value)))
    record = directory.by_full_name[P + "A"]
    assert (record.severity, record.status) == expected


@pytest.mark.parametrize(
    ("made", "data"),
    [
        (declared("A"), b"x"),
        (declared("A", type="int"), b"1.5"),
        (declared("A", type="int"), b"4000000000"),
        (declared("A", type="bool", choices=("No", "Yes")), b"2"),
        (declared("A", type="floats", size=5), b"abc"),
    ],
)
def test_values_that_do_not_fit(pvs: ScriptPvs, made: PvMade, data: bytes) -> None:
    """A value that a PV cannot have is refused, and changes nothing."""
    pvs.make(made)
    with pytest.raises(ValueError, match=r"."):
        pvs.set(PvSet("A", None, data))


def test_values_of_other_pvs(pvs: ScriptPvs) -> None:
    """A value of a PV that the run has not made is refused."""
    with pytest.raises(NotServedError):
        pvs.set(PvSet("A", None, b"1.0"))
