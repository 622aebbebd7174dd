"""What is wanted of each name, and how much of it is written; needs no database."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.registry.entries import Answer, RegistryStatus
from bgrscrpt_ioc.registry.ledger import ENDED, NOT_CALLED, Ledger
from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.registry.wanted import Claim, Found, RegisteredRun, Step

RUN = RegisteredRun(1, "/a.py", 100.0, ())
WRITTEN = Answer()


def write_all(ledger: Ledger) -> None:
    """Let the database take all that is wanted."""
    for entry in ledger.pending():
        ledger.trying(entry)
        ledger.answered(entry, WRITTEN)


def wishes(ledger: Ledger) -> list[tuple[str, int | None, float | None]]:
    """Return (IOC name, pid, stopped) of all that the database lacks."""
    wanted = [entry.wanted for entry in ledger.pending()]
    return [(each.ioc_name, each.run and each.run.pid, each.stopped) for each in wanted]


def test_later_registration_comes_later() -> None:
    """If two names claim one PV, the later one has it, even if both wait for the database."""
    ledger = Ledger()
    for name in ("A", "B", "A"):
        ledger.register(name, name, RUN)
    ledger.stop("B", 200.0, "B")
    assert [entry.name for entry in ledger.pending()] == ["B", "A"]


def test_stop_while_the_start_is_written() -> None:
    """A late answer to a start does not mark the stop as written that has come meanwhile."""
    ledger = Ledger()
    ledger.register("A", "A", RUN)
    (start,) = ledger.pending()
    ledger.trying(start)
    ledger.stop("A", 200.0, "A")
    ledger.answered(start, WRITTEN)
    assert wishes(ledger) == [("A", 1, 200.0)]
    write_all(ledger)
    assert ledger.pending() == []
    assert ledger.unsaved() == []


def test_first_stop_counts() -> None:
    """A second stop, or a stop of a name that never registered, changes nothing."""
    ledger = Ledger()
    assert not ledger.stop("A", 1.0, "A")
    ledger.register("A", "A", RUN)
    assert ledger.stop("A", 2.0, "A")
    assert not ledger.stop("A", 3.0, "A")
    assert wishes(ledger) == [("A", 1, 2.0)]


def test_recovery_gives_way_to_new_scripts() -> None:
    """What a dead IOC left does not replace what a script of now has registered."""
    ledger = Ledger()
    ledger.register("A", "A", RUN)
    old = RegisteredRun(9, "/old.py", 1.0, ())
    left = [Claim("A", "A", old), Claim("ODD", "A", old, 50.0), Claim("ODD2", "A", old)]
    ledger.recover(["A", "B"], left, frozenset(), 90.0)
    assert sorted(wishes(ledger), key=str) == [
        ("A", 1, None),
        ("B", None, 90.0),
        ("ODD", 9, 50.0),
        ("ODD2", 9, 90.0),
    ]
    write_all(ledger)
    forgotten = [key for key, claim in ledger.unsaved() if claim is None]
    assert forgotten == [("ODD", "A"), ("ODD2", "A")]


def test_status() -> None:
    """The status is right from the call to the stop and the next run, with and without problems."""
    ledger = Ledger()
    unknown = RegistryStatus(False, NOT_CALLED, Severity.NO_ALARM)
    assert ledger.status("A", "trouble") == unknown
    ledger.register("A", "A", RUN)
    assert ledger.status("A", "") == RegistryStatus(False, "registering", Severity.NO_ALARM)
    assert ledger.status("A", "trouble") == RegistryStatus(False, "trouble", Severity.MINOR)
    ledger.answered(ledger.pending()[0], Answer(warnings=("PV 'x' left out",)))
    registered = RegistryStatus(True, "registered; PV 'x' left out", Severity.NO_ALARM)
    assert ledger.status("A", "trouble") == registered
    ledger.stop("A", 5.0, "A")
    assert ledger.status("A", "trouble") == RegistryStatus(False, "trouble", Severity.MINOR)
    assert ledger.status("A", "") == RegistryStatus(False, ENDED.format("A"), Severity.NO_ALARM)
    ledger.began("A")
    assert ledger.status("A", "") == unknown


def test_status_of_another_name() -> None:
    """The status of an instance is that of its script, whatever name the script has registered."""
    ledger = Ledger()
    ledger.register("ODD", "A", RUN)
    write_all(ledger)
    assert ledger.status("A", "").message == "registered as ODD"
    assert ledger.status("ODD", "").message == NOT_CALLED
    ledger.register("I" * 101, "A", RUN)
    assert "101 characters" in ledger.status("A", "").message
    ledger.began("A")
    ledger.register("B", "A", RUN)
    ledger.answered(ledger.pending()[0], Answer(taken="the row of 'B' is that of C"))
    assert ledger.status("A", "").message == "not registered: the row of 'B' is that of C"


def test_row_belongs_to_a_run() -> None:
    """Of two living runs with one name the later has the row; when it ends, the other has it."""
    ledger = Ledger()
    first, second = RegisteredRun(1, "/a.py", 100.0, ()), RegisteredRun(2, "/b.py", 101.0, ())
    ledger.register("A", "A", first)
    ledger.register("A", "B", second)
    assert not ledger.stop("A", 150.0, "B", pid=7)  # of an earlier run
    assert ledger.status("A", "").message == "not registered: B has registered A later"
    assert ledger.stop("A", 200.0, "B", pid=2)
    assert wishes(ledger) == [("A", 1, None)]
    assert ledger.status("B", "").message == ENDED.format("A")
    ledger.register("A", "B", second)
    assert ledger.stop("A", 300.0, "A", pid=1)
    assert wishes(ledger) == [("A", 2, None)]  # the row is the other's
    assert ledger.status("B", "").message == "registering as A"


def test_name_refused_by_the_database() -> None:
    """A refusal stays until the name is registered again, and is not tried again."""
    ledger = Ledger()
    ledger.register("A", "A", RUN)
    ledger.answered(ledger.pending()[0], Answer(refusal="no such characters"))
    assert ledger.pending() == []
    refused = RegistryStatus(False, "not registered: no such characters", Severity.MINOR)
    assert ledger.status("A", "") == refused
    ledger.register("A", "A", RUN)
    assert len(ledger.pending()) == 1


texts = st.text(st.characters(exclude_categories=()), max_size=120)


@given(texts, st.lists(texts, max_size=9), texts)
def test_messages_fit_their_pv(name: str, pvs: list[str], trouble: str) -> None:
    """Whatever a script registers, the message is valid UTF-8 of at most 255 bytes."""
    ledger = Ledger()
    run = RegisteredRun(1, "", 1.0, tuple(PvRow(pv, "", "") for pv in pvs))
    ledger.register(name, "A", run)
    for entry in ledger.pending():
        ledger.answered(entry, WRITTEN)
    for text in ("", trouble):
        assert len(ledger.status("A", text).message.encode()) <= 255


def test_start_leaves_rows_of_other_iocs() -> None:
    """An IOC that starts leaves alone what the journal has of another IOC, even in a container."""
    ledger = Ledger()
    ledger.recover(["A"], [], frozenset({(7, 50)}), 90.0)
    wanted = ledger.pending()[0].wanted
    steps = [wanted.step(Found(pid, 50, running=True), lambda *_: False) for pid in (7, 8)]
    assert steps == [Step.LEAVE, Step.STOP]


def test_what_was_registered_before_the_journal_is_read_is_newer() -> None:
    """What an earlier IOC left comes late, and does not replace a run that has ended meanwhile."""
    ledger = Ledger()
    ledger.expect()
    ledger.register("A", "B", RegisteredRun(2, "/b.py", 200.0, ()))
    ledger.stop("A", 300.0, "B")
    assert wishes(ledger) == []
    ledger.recover(["A", "B"], [Claim("A", "A", RUN)], frozenset(), 150.0)
    assert ("A", 2, 300.0) in wishes(ledger)
    write_all(ledger)
    assert ledger.unsaved() == [(("A", "A"), None)]


def test_registrations_in_one_moment_are_in_order() -> None:
    """The journal knows which was later, even if the clock stood still or was set back."""
    ledger = Ledger()
    for name, at in (("A", 9.0), ("B", 9.0), ("C", 5.0)):
        ledger.register(name, name, RegisteredRun(1, "/a.py", 100.0, (), at))
    moments = [claim.run.registered for _, claim in ledger.unsaved() if claim is not None]
    assert moments == sorted(set(moments))
    assert len(moments) == 3
