"""Access rules and CALC: what we decide is what EPICS base's own code decides."""

from __future__ import annotations

import math
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.rig.ca import HERE, Peer, ca_environ
from bgrscrpt_ioc.access.acf import AccessFileError, parse
from bgrscrpt_ioc.access.calc import CalcError, compiled
from bgrscrpt_ioc.access.rules import Rules

GROUPS = """
# who
UAG(ops) {alice, bob}
UAG(experts) {carol}
HAG(control) {localhost, 127.0.0.9}
HAG(office) {198.51.100.7}
"""
# Each: what stands in ASG(X); or a whole file, where it says so itself.
ACFS = {
    "read all": "RULE(1, READ)",
    "write all": "RULE(1, WRITE)",
    "write level 0": "RULE(0, WRITE)",
    "read, write level 0": "RULE(1, READ) RULE(0, WRITE)",
    "nothing": "",
    "no rules": "ASG(X) ASG(DEFAULT) {RULE(1, WRITE)}",
    "none": "RULE(1, NONE)",
    "none, then read": "RULE(1, NONE) RULE(1, READ)",
    "read, then none": "RULE(1, READ) RULE(1, NONE)",
    "write, then read": "RULE(1, WRITE) RULE(1, READ)",
    "users": "RULE(1, READ) RULE(1, WRITE) {UAG(ops)}",
    "two groups of users": "RULE(1, WRITE) {UAG(ops, experts)}",
    "two UAGs": "RULE(1, WRITE) {UAG(ops) UAG(experts)}",
    "hosts": "RULE(1, READ) RULE(1, WRITE) {HAG(control)}",
    "other hosts": "RULE(1, READ) RULE(1, WRITE) {HAG(office)}",
    "two groups of hosts": "RULE(1, WRITE) {HAG(office, control)}",
    "users and hosts": "RULE(1, READ) RULE(1, WRITE) {UAG(ops) HAG(control)}",
    "users or hosts": "RULE(1, WRITE) {UAG(ops)} RULE(1, WRITE) {HAG(control)}",
    "trap": "RULE(1, READ) RULE(1, WRITE, TRAPWRITE)",
    "trap of some": "RULE(1, WRITE, TRAPWRITE) {UAG(ops)} RULE(1, WRITE, NOTRAPWRITE)",
    "trap, then none": "RULE(1, READ, TRAPWRITE) RULE(1, NONE)",
    "mode": "INPA(M) RULE(1, READ) RULE(1, WRITE) {CALC(\"A=1\")}",
    "mode is 0": "INPA(M) RULE(1, WRITE) {CALC(\"A=0\")}",
    "mode and users": "INPA(M) RULE(1, WRITE) {UAG(ops) CALC(\"A\")}",
    "two inputs": "INPA(M) INPB(N) RULE(1, WRITE) {CALC(\"A && B>2\")}",
    "not 1": "INPA(M) RULE(1, WRITE) {CALC(\"A*2\")}",
    "no input needed": "RULE(1, WRITE) {CALC(\"1\")}",
    "an input without a PV": "INPA(M) RULE(1, WRITE) {CALC(\"A && !B\")}",
    "a bad input is not used": "INPA(M) INPB(N) RULE(1, WRITE) {CALC(\"A\")}",
    "calc level 0": "INPA(M) RULE(1, READ) RULE(0, WRITE) {CALC(\"A\")}",
    "quoted names": 'RULE(1, WRITE) {UAG("ops")}',
    "unknown UAG": "RULE(1, WRITE) {UAG(nobody)}",
    "level 2": "RULE(2, READ)",
    "no comma": "RULE(1 READ)",
    "not closed": "RULE(1, READ",
    "bad calc": "RULE(1, READ) {CALC(\"A+\")}",
    "the default": "ASG(DEFAULT) {RULE(1, READ)} ASG(Y) {RULE(1, WRITE)}",
    "no default": "ASG(Y) {RULE(1, WRITE)}",
    "two of a name": "ASG(X) {RULE(1, READ)} ASG(X) {RULE(1, WRITE)}",
}  # fmt: skip
ASKED = list(
    product((0, 1), ("alice", "carol", "mallory"), ("127.0.0.1", "127.0.0.9", "198.51.100.8"))
)
INPUTS: list[dict[str, float]] = [{}, {"A": 1.0}, {"A": 0.0, "B": 3.0}, {"A": 1.0, "B": 3.0}]


@pytest.fixture(scope="module")
def epics() -> Iterator[Peer]:
    """Start EPICS's code in a process of its own."""
    with Peer([sys.executable, str(HERE / "access_peer.py")], ca_environ(5064)) as peer:
        yield peer


def file_of(name: str) -> str:
    text = ACFS[name]
    return GROUPS + (text if text.startswith("ASG") else f"ASG(X) {{{text}}}\nASG(DEFAULT)\n")


def ours(acf: str, level: int, user: str, host: str, inputs: dict[str, float]) -> list | None:
    """Return what our code decides for group X."""
    try:
        file = parse(acf)
    except AccessFileError:
        return None
    hosts = {host for each in file.hosts.values() for host in each}
    addresses = {each: frozenset({socket.gethostbyname(each)}) for each in hosts}
    pvs = {"A": "M", "B": "N"}
    rules = Rules(file, addresses, {pvs[letter]: value for letter, value in inputs.items()})
    granted = rules.granted("X", level, user, host)
    return [int(granted.right), granted.trap]


@pytest.mark.parametrize("name", ACFS)
def test_decisions_are_those_of_epics(epics: Peer, name: str) -> None:
    """For users, hosts, levels and inputs, right and trap are EPICS's, or the file is refused."""
    acf = file_of(name)
    for (level, user, host), values in product(ASKED, INPUTS):
        inputs = {each: value for each, value in values.items() if f"INP{each}(" in acf}
        theirs = epics.ask(
            "rights", acf=acf, asg="X", level=level, user=user, host=host, inputs=inputs
        )
        assert ours(acf, level, user, host, inputs) == theirs, (level, user, host, inputs)


OPERATORS = ["+", "-", "*", "/", "<", "<=", ">", ">=", "=", "==", "!=", "#", "&&", "||"]
OPERATORS += ["&", "|", "^", "**", "<<", ">>", "AND", "OR", "XOR"]
FUNCTIONS = ["ABS", "SQRT", "SQR", "EXP", "LOG", "LOGE", "LN", "FLOOR", "CEIL", "NINT", "INT"]
FUNCTIONS += ["ISNAN", "ISINF", "FINITE"]
NUMBERS = st.sampled_from(["A", "B", "c", "0", "1", "2.5", "-3", "7", "1e3", ".5", "PI"])
EXPRESSIONS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(
            inner,
            st.sampled_from(OPERATORS),
            inner,
        ).map(lambda parts: f"({parts[0]}) {parts[1]} {parts[2]}"),
        # Not by -1: of the smallest integer, which NaN becomes, that ends a process.
        st.tuples(inner, st.sampled_from(["2.5", "7", "-3", "0"])).map(" % ".join),
        st.tuples(st.sampled_from(["-", "!", "~", "NOT "]), inner).map("".join),
        st.tuples(inner, inner, inner).map(lambda each: f"({each[0]})?({each[1]}):({each[2]})"),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda each: f"{each[0]}({each[1]})"),
        st.tuples(st.sampled_from(["MAX", "MIN"]), inner, inner).map(
            lambda each: f"{each[0]}({each[1]},{each[2]})"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=500, deadline=None)
@example("(A / A) % 7", [0.0, 0.0, 0.0])
@example("(A / A) | 0", [0.0, 0.0, 0.0])
@example("-3000000000 | 0", [0.0, 0.0, 0.0])
@example("3000000000 | 0", [0.0, 0.0, 0.0])
@example("-(1 / A) | 1e30 | 1e12", [0.0, 0.0, 0.0])
@given(EXPRESSIONS, st.lists(st.integers(-5, 5).map(float), min_size=3, max_size=3))
def test_calc_is_that_of_epics(epics: Peer, text: str, values: list[float]) -> None:
    """Expressions with all operators, in any grouping, have EPICS's value."""
    theirs = epics.ask("calc", text=text, inputs=values)
    function, _ = compiled(text)
    found = function(dict(zip("ABC", values, strict=True)))
    if theirs is not None:
        same = math.isnan(found) and math.isnan(theirs)
        assert same or found == pytest.approx(theirs, nan_ok=True), (found, theirs)


@pytest.mark.parametrize(
    "text", ["", "A+", "(A", "A)", "A B", "X", "A ? B", "foo(A)", "ABS(A,B)", "$"]
)
def test_what_is_no_expression(epics: Peer, text: str) -> None:
    """A text that is no expression for EPICS is refused, with the place of the mistake."""
    assert text == "" or epics.ask("calc", text=text, inputs=[]) is None
    with pytest.raises(CalcError, match="CALC '"):
        compiled(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ASG(X) {\nRULE(1, READ\n}", "line 3: \\) expected, not '}'"),
        ("UAG(a) {b c}", "line 1: , or } expected, not 'c'"),
        ("\n\nUSERS(a)", "line 3: UAG, HAG or ASG expected, not 'USERS'"),
        ('UAG("a', "line 1: a text without its closing quote"),
        ("ASG(X) {RULE(1, READ) {UAG(a)}}", "UAG\\(a\\) is used in a RULE, but there is none"),
        ("ASG(X) {RULE(x, READ)}", "line 1: level 'x' should be 0 or 1"),
        # EPICS 7 takes the file, and the rule for none: an operator would wonder.
        ("ASG(X) {RULE(1, WRITES)}", "line 1: 'WRITES' should be NONE, READ or WRITE"),
        ('ASG(X) {RULE(1,READ) {CALC("1+")}}', "line 1: CALC '1\\+': 'its end' is not expected"),
        ("UAG(", "line 1: a name expected, not the end of the file"),
    ],
)
def test_what_is_wrong_with_a_file(text: str, told: str) -> None:
    """A mistake in a file gives a message with the line, the expected word and the found word."""
    with pytest.raises(AccessFileError, match=told):
        parse(text)


@given(st.text(alphabet='UAGHSINPRULECTDMOW(){},"# \n01abx', max_size=60))
def test_any_text_is_a_file_or_refused(text: str) -> None:
    """Any text is accepted as a file or refused with a message; nothing else is raised."""
    with suppress(AccessFileError):
        assert parse(text).groups.keys() >= set()
