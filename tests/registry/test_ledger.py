"""What is wanted of each name, and how far it is: no database needed to know."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.events import Severity
from bgrscrpt_ioc.registry.ledger import NOT_CALLED, Ledger, RegistryStatus
from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.registry.wanted import Run, Wanted

RUN = Run(1, "/a.py", 100.0, ())


def test_later_registration_comes_later() -> None:
    """Of two names that ask for one PV the later has it, though both wait for the database."""
    ledger = Ledger()
    for name in ("A", "B", "A"):
        ledger.register(name, name, RUN)
    ledger.stop("B", 200.0)
    assert [entry.name for entry in ledger.pending()] == ["B", "A"]


def test_stop_while_the_start_is_written() -> None:
    """The answer to a start that has been stopped meanwhile leaves only the stop to write."""
    ledger = Ledger()
    ledger.register("A", "A", RUN)
    (start,) = ledger.pending()
    ledger.stop("A", 200.0)
    ledger.answered(start, "", [])
    assert [entry.wanted for entry in ledger.pending()] == [Wanted("A", "A", None, 200.0)]


def test_first_stop_counts() -> None:
    """A second stop, or one of a name that never registered, changes nothing."""
    ledger = Ledger()
    assert not ledger.stop("A", 1.0)
    ledger.register("A", "A", RUN)
    assert ledger.stop("A", 2.0)
    assert not ledger.stop("A", 3.0)
    assert ledger.pending()[0].wanted.stopped == 2.0


def test_recovery_gives_way_to_new_scripts() -> None:
    """What a dead IOC left does not replace what a script of now has asked for."""
    ledger = Ledger()
    ledger.register("A", "A", RUN)
    old = Run(9, "/old.py", 1.0, ())
    left = [
        (Wanted("A", "A", old), True),
        (Wanted("ODD", "A", old, 50.0), False),
        (Wanted("ODD2", "A", old), True),
    ]
    ledger.recover(["A", "B"], left, 90.0)
    assert {entry.name: entry.wanted for entry in ledger.pending()} == {
        "A": Wanted("A", "A", RUN),
        "B": Wanted("B", "B", None, 90.0),
        "ODD": Wanted("ODD", "A", old, 50.0),
        "ODD2": Wanted("ODD2", "A", None, 90.0),  # its start is in the database
    }


def test_status() -> None:
    """From the call to the stop, in trouble and without."""
    ledger = Ledger()
    unknown = RegistryStatus(False, NOT_CALLED, Severity.NO_ALARM)
    assert ledger.status("A", "trouble") == unknown
    ledger.register("A", "A", RUN)
    assert ledger.status("A", "") == RegistryStatus(False, "registering", Severity.NO_ALARM)
    assert ledger.status("A", "trouble") == RegistryStatus(False, "trouble", Severity.MINOR)
    ledger.answered(ledger.pending()[0], "", ["PV 'x' left out"])
    registered = RegistryStatus(True, "registered; PV 'x' left out", Severity.NO_ALARM)
    assert ledger.status("A", "trouble") == registered
    ledger.stop("A", 5.0)
    assert ledger.status("A", "trouble") == RegistryStatus(False, "trouble", Severity.MINOR)
    assert ledger.status("A", "") == unknown


def test_name_refused_by_the_database() -> None:
    """A refusal stays until the name is registered anew, and is not tried again."""
    ledger = Ledger()
    ledger.register("A", "A", RUN)
    ledger.answered(ledger.pending()[0], "no such characters", [])
    assert ledger.pending() == []
    refused = RegistryStatus(False, "not registered: no such characters", Severity.MINOR)
    assert ledger.status("A", "") == refused
    ledger.register("A", "A", RUN)
    assert len(ledger.pending()) == 1


texts = st.text(st.characters(exclude_categories=()), max_size=120)


@given(texts, st.lists(texts, max_size=9), texts)
def test_messages_fit_their_pv(name: str, pvs: list[str], trouble: str) -> None:
    """Whatever a script asks for, the message is valid UTF-8 of at most 255 bytes."""
    ledger = Ledger()
    run = Run(1, "", 1.0, tuple(PvRow(pv, "", "") for pv in pvs))
    ledger.register(name, "A", run)
    for entry in ledger.pending():
        ledger.answered(entry, "", [])
    for text in ("", trouble):
        assert len(ledger.status(name, text).message.encode()) <= 255
