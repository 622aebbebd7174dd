"""`history` on a terminal of 80 columns, and in a pipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrscrpt_ioc.cli.runtable import row, table
from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.pvs import PvReading
from bgrscrpt_ioc.script import history
from bgrscrpt_ioc.script.history import PastRun
from bgrscrpt_ioc.script.story import How

REASON = "exit 1: ValueError: " + "a reason that is long " * 20 + "(/data/scripts/watch.py:17)"
START = "2026-11-28T23:10:05+00:00"
RUNS = [
    PastRun(1003, START, by="alice@ndw1234"),
    PastRun(1002, START, START, 11_534.2, How.FAILED, 1, "exit 1", REASON, by="autorestart"),
    PastRun(1001, START, START, 0.44, How.FINISHED, 0, "exit 0", "exit 0", by="a@h"),
    PastRun(1000, START, how=How.LOST, why="the IOC ended", by="a@h"),
]


def test_in_80_columns() -> None:
    """Each run has its line, the reason below it is whole, and nothing is wider."""
    drawn = table([("BGRSCRPT_01", run) for run in RUNS], 80)
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["NAME", "RUN", "STARTED", "LASTED", "HOW", "BY"]
    first, second = lines[1:3]
    assert first.split()[1:] == ["1003", "2026-11-28", "23:10:05", "running", "alice@ndw1234"]
    assert "1002  2026-11-28 23:10:05  3 h 12 min  failed    autorestart" in second
    assert " ".join(drawn.split()).count(" ".join(REASON.split())) == 1
    assert lines[-3].endswith("0.4 s       finished  a@h")  # exit 0 says no more than finished
    assert lines[-1] == "  the IOC ended"


def test_who_asked_where_there_is_no_room() -> None:
    """A long name of who asked goes below; without names the column is not there."""
    long = PastRun(1, START, START, 5, How.STOPPED, why="stopped by b@h", by="x" * 40)
    lines = table([("", long)], 80).splitlines()
    assert lines[0].split() == ["RUN", "STARTED", "LASTED", "HOW"]
    assert lines[2] == f"  by {'x' * 40}: stopped by b@h"


def test_in_a_pipe() -> None:
    """A run is a line of cells; nobody knows how long a run has lasted that the IOC lost."""
    assert list(row("X", RUNS[1]).values())[:6] == [
        "X", 1002, "2026-11-28 23:10:05", 11_534.2, "failed", "autorestart"
    ]  # fmt: skip
    assert row("X", RUNS[3])["LASTED"] is None


def test_a_history_that_cannot_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The PV is in alarm: its runs are shown, for the file lacks them, and why is said."""
    from bgrscrpt_ioc.cli import runs

    instance = Instance("TE:", "X", 5064)
    (tmp_path / "TE.X.history").write_bytes(history.line(RUNS[1]) + b"\n")
    told = "\n".join(map(history.pv_line, RUNS[:2])).encode()
    reading = PvReading([*told, 0], 1, "127.0.0.1:5064")
    monkeypatch.setattr("bgrscrpt_ioc.client.readings.read_of_all", lambda *_: {instance: reading})
    (found,) = runs.past_of([instance], [], tmp_path)
    assert ([run.number for run in found.runs], found.file) == ([1003, 1002], None)
    said = capsys.readouterr().err
    assert said.startswith("TE:X: the IOC cannot save the history: see its log")
