"""The journal: what was saved comes back, and damaged files are kept aside."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrscrpt_ioc.registry.journal import Journal, JournalError
from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.registry.wanted import Claim, RegisteredRun

texts = st.text(max_size=100)
moments = st.floats(0, 4e9)
rows = st.builds(PvRow, texts, texts, texts, st.dictionaries(texts, texts, max_size=2))
runs = st.builds(
    RegisteredRun, st.integers(), texts, moments, st.lists(rows, max_size=2).map(tuple)
)


idents = st.tuples(st.none() | st.integers(), st.integers())
claims = st.builds(
    Claim, texts, texts, runs, st.none() | moments, st.lists(idents, max_size=2).map(tuple)
)
RUN = RegisteredRun(1, "/a.py", 1.0, ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(claims, texts)
def test_saved_and_loaded(tmp_path: Path, claim: Claim, prefix: str) -> None:
    """Any name in any alphabet, with any prefix and instance, has a file of its own."""
    journal = Journal(tmp_path / "registry", prefix)
    journal.save(claim)
    assert journal.load([claim.instance]).claims == (claim,)
    for other in (Journal(tmp_path / "registry", prefix + ":"), journal):
        left = other.load([claim.instance + "x"])
        assert (left.claims, left.others, left.problems) == ((), {claim.run.ident}, ())
    journal.forget(claim.ioc_name, claim.instance)
    assert list((tmp_path / "registry").iterdir()) == []


def test_only_the_own_instances(tmp_path: Path) -> None:
    """Other IOCs share the directory; only registrations of our own instances come back."""
    journal = Journal(tmp_path)
    names = [("A", "A"), ("B", "B"), ("ODD", "A"), ("a/../b", "B"), ("A", "B")]
    for name, instance in names:
        journal.save(Claim(name, instance, RUN))
    left = journal.load(["A"])
    assert [(claim.ioc_name, claim.instance) for claim in left.claims] == [("A", "A"), ("ODD", "A")]
    assert len(list(tmp_path.iterdir())) == len(names)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"version": 2}', b"[" * 100_000, b'{"version": 1, "run": 3}'],
)
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be understood is kept under another name and reported."""
    journal = Journal(tmp_path)
    path = journal.path("A", "A")
    path.write_bytes(content)
    journal.save(Claim("B", "B", RUN))
    left = journal.load(["A", "B"])
    assert [claim.ioc_name for claim in left.claims] == ["B"]
    assert left.problems == (f"{path} is damaged: kept as {path.stem}.bad, started anew",)
    assert path.with_suffix(".bad").read_bytes() == content
    assert journal.load(["A"]).problems == ()


def test_mode(tmp_path: Path) -> None:
    """Not everybody can read the files."""
    journal = Journal(tmp_path / "registry")
    journal.save(Claim("A", "A", RUN))
    assert stat.S_IMODE(journal.path("A", "A").stat().st_mode) & ~0o640 == 0


def test_directory_that_cannot_be(tmp_path: Path) -> None:
    """After an error of the disk, the text names the file and the reason."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "registry")
    with pytest.raises(JournalError, match=r"cannot keep .*A\.json: Not a directory"):
        journal.save(Claim("A", "A", RUN))
    with pytest.raises(JournalError, match=r"cannot remove .*A\.json: Not a directory"):
        journal.forget("A", "A")
