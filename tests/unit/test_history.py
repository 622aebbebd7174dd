"""The history file: runs that were written are read back, whatever else is in the file."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.host import files
from bgrscrpt_ioc.script import historyfile
from bgrscrpt_ioc.script.history import (
    IOC_ENDED,
    KEPT,
    MAX_FILE,
    PastRun,
    fitting,
    for_people,
    line,
    merged,
    pv_line,
    read,
    rows,
)
from bgrscrpt_ioc.script.historyfile import HistoryFile, Texts, history_of, texts_of
from bgrscrpt_ioc.script.story import How

START = "2026-11-28T23:10:05+00:00"
RUN = PastRun(1, START, "2026-11-28T23:11:05+00:00", 60.0, How.FAILED, 1, "exit 1")
SHORT = st.text(max_size=30)
RUNS = st.builds(
    PastRun,
    number=st.integers(0, 10**9),
    start=SHORT,
    end=SHORT,
    seconds=st.floats(0, 1e9),
    how=st.sampled_from([each.value for each in How]),
    code=st.none() | st.integers(),
    reason=SHORT,
    why=SHORT,
    error=SHORT,
    by=SHORT,
    sha256=SHORT,
    restarts=st.integers(0),
    stacks=SHORT,
)
GARBAGE = st.binary(max_size=60).map(lambda each: each.replace(b"\n", b""))


@pytest.fixture
def file(tmp_path: Path) -> HistoryFile:
    return history_of(tmp_path / "state", "TE:BGRSCRPT_01")


@given(st.lists(RUNS, unique_by=lambda run: run.number, max_size=10))
def test_round_trip(runs: list[PastRun]) -> None:
    """Runs that are written to a new file are read back, in the order of their numbers."""
    assert read(merged(b"", runs)) == (sorted(runs, key=lambda run: run.number), 0)


@given(st.binary(max_size=300) | st.lists(GARBAGE | RUNS.map(line)).map(b"\n".join), RUNS)
def test_whatever_the_file_holds(data: bytes, run: PastRun) -> None:
    """No content of the file keeps a new run out, or raises; good lines stay."""
    before, _ = read(data)
    after, _ = read(merged(data, [run]))
    assert run in after
    assert {each.number for each in before} <= {each.number for each in after}


@given(RUNS, st.data())
def test_a_torn_last_line(run: PastRun, data: st.DataObject) -> None:
    """A line that was not completely written is ignored, and the other lines are read."""
    whole = merged(b"", [RUN, replace(run, number=RUN.number + 1)])
    first = whole.index(b"\n") + 1
    torn = whole[: data.draw(st.integers(first + 1, len(whole) - 2))]
    assert read(torn) == ([RUN], 1)
    assert run in read(merged(torn, [run]))[0]


def test_lines_of_a_later_version() -> None:
    """Unknown keys are ignored, and stay in the file as long as their line."""
    later = b'{"number": 1, "start": "x", "colour": "blue"}\n'
    assert read(later) == ([PastRun(1, "x")], 0)
    assert merged(later, [replace(RUN, number=2)]).startswith(later)


@pytest.mark.parametrize(
    "bad",
    [b"[]", b'{"start": "x"}', b'{"number": 1}', b'{"number": 1, "start": 5}', b"[" * 100_000,
     b'{"number": true, "start": "x"}', b'{"number": 1.5, "start": "x"}',
     b'{"number": 99999999999999, "start": "x"}', b"\xff\xfe"],
)  # fmt: skip
def test_lines_that_are_no_runs(bad: bytes) -> None:
    """Lines that are no runs are counted and left out."""
    assert read(bad + b"\n" + line(RUN)) == ([RUN], 1)


def test_the_newest_thousand() -> None:
    """Of 1,001 runs the oldest is deleted; of very long runs, more are deleted."""
    data = merged(b"", [PastRun(number, START) for number in range(1, KEPT + 2)])
    assert [run.number for run in read(data)[0]] == list(range(2, KEPT + 2))
    long = merged(b"", [PastRun(n, START, stacks="x" * 9000) for n in range(KEPT)])
    assert MAX_FILE / 2 < len(long) <= MAX_FILE
    assert read(long)[0][-1].number == KEPT - 1


def test_the_pv() -> None:
    """HISTORY has the newest runs first, whole lines, ASCII, without what only the file has."""
    runs = [
        PastRun(n, START, error="ü" * 900, stacks="s", script="/s.py") for n in range(200, 0, -1)
    ]
    text = fitting(map(pv_line, runs), 15999)
    assert len(text.encode()) <= 15999
    assert text.isascii()
    first = json.loads(text.splitlines()[0])
    assert first["number"] == 200
    assert not {"stacks", "script"} & first.keys()
    assert len(text.splitlines()) > 8
    assert [run.number for run in rows(text)][:2] == [200, 199]
    assert fitting(map(pv_line, runs), 10) == ""


def test_a_run_that_was_going_on(file: HistoryFile) -> None:
    """At the next start of the IOC, a run without an end is `lost`, in the file too."""
    assert file.save([RUN, PastRun(2, START, by="a@h")]) == ""
    loaded = file.load()
    assert [(run.how, run.why) for run in loaded.runs] == [(How.FAILED, ""), (How.LOST, IOC_ENDED)]
    assert read(file.path.read_bytes())[0] == list(loaded.runs)


def test_first_start(file: HistoryFile) -> None:
    """A missing file and an empty file give an empty history without a complaint."""
    assert file.load() == historyfile.Loaded()
    file.path.parent.mkdir()
    file.path.touch()
    assert file.load().runs == []


def test_a_file_that_somebody_has_spoilt(file: HistoryFile) -> None:
    """Of a damaged file the good lines are kept; a copy is saved, and the log says so."""
    file.path.parent.mkdir()
    spoilt = b"# my notes\n" + line(RUN) + b"\n"
    file.path.write_bytes(spoilt)
    loaded = file.load()
    assert loaded.runs == [RUN]
    assert loaded.problem.endswith(
        "1 lines are no runs; a copy is kept as TE.BGRSCRPT_01.history.bad"
    )
    assert Path(f"{file.path}.bad").read_bytes() == spoilt
    assert file.load() == historyfile.Loaded([RUN])


def test_who_may_read_it(file: HistoryFile) -> None:
    """Other users cannot read the files of history and texts."""
    file.save([RUN])
    texts = Texts(file.path.with_suffix(".texts"))
    texts.keep("abc", b"pass\n")
    for each in (file.path, texts.file("abc")):
        assert stat.S_IMODE(each.stat().st_mode) == 0o640
    assert stat.S_IMODE(texts.path.stat().st_mode) == 0o750


def test_two_prefixes_with_one_name(tmp_path: Path) -> None:
    """Each has files of its own."""
    one, other = (history_of(tmp_path, f"{prefix}BGRSCRPT_01") for prefix in ("TE:A:", "TE:B:"))
    one.save([RUN])
    assert other.load().runs == ()
    assert texts_of(tmp_path, "TE:A:X").path != texts_of(tmp_path, "TE:B:X").path


def test_a_save_cut_short(file: HistoryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk is full, the old history stays, and the reason is reported."""
    file.save([RUN])

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert file.save([replace(RUN, number=2)]) == f"{file.path}: No space left on device"
    assert file.load().runs == [RUN]


def test_a_file_that_cannot_be_read(file: HistoryFile) -> None:
    """A file that cannot be read is not taken for an empty file, which would be overwritten."""
    file.path.mkdir(parents=True)
    assert file.load().trouble
    assert file.save([RUN]).startswith(f"{file.path}: ")


def test_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest texts are kept, up to a number and a size; one that runs again is new again."""
    texts = Texts(tmp_path / "texts")
    monkeypatch.setattr(historyfile, "TEXTS", 3)
    monkeypatch.setattr(historyfile, "MAX_TEXTS", 1000)
    times = iter(range(1, 100))

    def keep(name: str, size: int) -> None:
        assert texts.keep(name, bytes(size)) == ""
        stamp = next(times)
        historyfile.os.utime(texts.file(name), (stamp, stamp))

    def kept() -> set[str]:
        return {each.stem for each in texts.path.iterdir()}

    for name in "abc":
        keep(name, 10)
    keep("a", 10)
    keep("d", 10)
    assert kept() == {"a", "c", "d"}
    keep("e", 995)
    assert kept() == {"e"}


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (PastRun(7, START, by="a@h"), "run 7  2026-11-28 23:10:05  running  by a@h"),
        (
            PastRun(6, START, START, 11_534.2, How.FAILED, 1, why="exit 1: E: x (s.py:3)"),
            "run 6  2026-11-28 23:10:05  failed after 3 h 12 min  exit 1: E: x (s.py:3)",
        ),
        (
            PastRun(5, START, START, 0.44, How.FINISHED, 0, why="exit 0"),
            "run 5  2026-11-28 23:10:05  finished after 0.4 s",
        ),
        (
            PastRun(4, START, how=How.LOST, why="the IOC ended\x1b"),
            "run 4  2026-11-28 23:10:05  lost  the IOC ended\\x1b",
        ),
    ],
)
def test_a_line_for_people(run: PastRun, line: str) -> None:
    """HISTORY:TEXT has one readable line for each run."""
    assert for_people(run) == line
