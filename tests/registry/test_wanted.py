"""The journal: what was saved comes back, and damage is kept aside."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.registry.wanted import Journal, JournalError, Run, Wanted

texts = st.text(max_size=100)
moments = st.floats(0, 4e9)
rows = st.builds(PvRow, texts, texts, texts, st.dictionaries(texts, texts, max_size=2))
runs = st.builds(Run, st.integers(), texts, moments, st.lists(rows, max_size=2).map(tuple))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.builds(Wanted, texts, texts, runs, st.none() | moments), st.booleans())
def test_saved_and_loaded(tmp_path: Path, wanted: Wanted, written: bool) -> None:
    """Any name in any alphabet has a file of its own; a stop that is written needs none."""
    journal = Journal(tmp_path / "registry")
    journal.save(wanted, written=written)
    left, problems = journal.load([wanted.ioc_name])
    forgotten = written and wanted.stopped is not None
    assert left == ([] if forgotten else [(wanted, written)])
    assert problems == []
    journal.path(wanted.ioc_name).unlink(missing_ok=True)


def test_only_the_own_names(tmp_path: Path) -> None:
    """Other IOCs share the directory: only names of these instances and their scripts come back."""
    journal = Journal(tmp_path)
    for name, instance in [("A", "A"), ("B", "B"), ("ODD", "A"), ("a/../b", "B")]:
        journal.save(Wanted(name, instance, None, 1.0), written=False)
    left, _ = journal.load(["A"])
    assert [wanted.ioc_name for wanted, _ in left] == ["A", "ODD"]
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"version": 2}', b"[" * 100_000, b'{"version": 1, "run": 3}'],
)
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be understood is kept under another name and reported."""
    journal = Journal(tmp_path)
    journal.path("A").write_bytes(content)
    journal.save(Wanted("B", "B", None, 1.0), written=False)
    left, problems = journal.load(["A", "B"])
    assert [wanted.ioc_name for wanted, _ in left] == ["B"]
    assert problems == [f"{tmp_path}/A.json is damaged: kept as A.bad, started anew"]
    assert (tmp_path / "A.bad").read_bytes() == content
    assert journal.load(["A"]) == ([], [])


def test_mode(tmp_path: Path) -> None:
    """The files are not for everybody."""
    journal = Journal(tmp_path / "registry")
    journal.save(Wanted("A", "A", None, 1.0), written=False)
    assert stat.S_IMODE(journal.path("A").stat().st_mode) & ~0o640 == 0


def test_directory_that_cannot_be(tmp_path: Path) -> None:
    """An error of the disk names the file and the reason."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "registry")
    with pytest.raises(JournalError, match=r"cannot keep .*A\.json: Not a directory"):
        journal.save(Wanted("A", "A", None, 1.0), written=False)
