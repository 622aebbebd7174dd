"""On bad disks, output is whole lines in order, or counted exactly, and recovers by itself."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bgrscrpt_ioc.output import logfile
from bgrscrpt_ioc.output.logdir import append
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.writer import Writer
from tests.process.logfiles import TODAY, WHEN, Logs, block, numbered, text, written


@pytest.mark.parametrize("patience", [0, 3600])
def test_a_deleted_directory_is_made_again(
    tmp_path: Path, logs: Logs, writer: Writer, patience: float
) -> None:
    """If a file or its directory is deleted, the next line is in a new one at once."""
    log = logs(patience=patience)
    log.write(block("before"), WHEN)
    written(writer)
    (tmp_path / "log" / TODAY).unlink()
    (tmp_path / "log").rmdir()
    log.write(block("after"), WHEN)
    written(writer)
    assert text(tmp_path / "log" / TODAY) == ["after"]


def test_rotation_by_another_program_is_noticed(tmp_path: Path, logs: Logs, writer: Writer) -> None:
    """If the file is renamed, lines go to a new one with the old name."""
    log = logs()
    log.write(block("before"), WHEN)
    written(writer)
    (tmp_path / "log" / TODAY).rename(tmp_path / "log" / "rotated")
    log.write(block("after"), WHEN)
    written(writer)
    assert text(tmp_path / "log" / "rotated") == ["before"]
    assert text(tmp_path / "log" / TODAY) == ["after"]


def test_the_path_is_not_looked_at_for_each_line(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """A renamed file gets lines until the next look; no line is lost."""
    log = logs(patience=3600)
    log.write(block("1"), WHEN)
    log.write(block("2"), WHEN)
    written(writer)
    (tmp_path / "log" / TODAY).rename(tmp_path / "log" / "rotated")
    log.write(block("3"), WHEN)
    written(writer)
    assert text(tmp_path / "log" / "rotated") == ["1", "2", "3"]


def test_truncation_by_another_program_leaves_no_hole(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """After a file is emptied in place (logrotate's copytruncate), lines begin at its beginning."""
    log = logs()
    log.write(block("before"), WHEN)
    written(writer)
    os.truncate(tmp_path / "log" / TODAY, 0)
    log.write(block("after"), WHEN)
    written(writer)
    assert text(tmp_path / "log" / TODAY) == ["after"]


def test_a_fifo_in_place_of_the_file_is_refused_until_it_is_gone(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """A FIFO is not waited for; its lines count as dropped, and the file says so later."""
    (tmp_path / "log").mkdir()
    path = tmp_path / "log" / TODAY
    os.mkfifo(path)
    log = logs()
    log.write(block("a", "b"), WHEN)
    log.remark("not a line of the script", WHEN)
    log.write(block("c"), WHEN)
    written(writer)
    assert log.dropped == 3
    assert log.problem == f"{path}: is a device or FIFO, not a file; lines are dropped"
    path.unlink()
    log.write(block("d"), WHEN)
    written(writer)
    assert text(path) == ["--- 3 lines not kept: is a device or FIFO, not a file", "d"]
    assert (log.dropped, log.problem) == (3, "")


def test_after_a_failure_it_waits_before_it_tries_again(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """A failing disk is not tried for every line; the lines meanwhile are dropped and counted."""
    path = tmp_path / "log"
    path.touch()
    log = logs(patience=3600)
    log.write(block("a"), WHEN)
    written(writer)
    path.unlink()
    log.write(block("b"), WHEN)
    written(writer)
    assert log.dropped == 2
    assert not path.exists()


def test_a_full_disk_costs_counted_lines_and_nothing_else(
    small_disk: Path, logs: Logs, writer: Writer
) -> None:
    """On a full disk, whole lines are kept while they fit, and the rest is counted exactly."""
    log = logs(small_disk)
    log.write(numbered(0, 1), WHEN)
    written(writer)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(40_000))
    log.write(numbered(1, 3000), WHEN)
    log.write(numbered(3000, 3010), WHEN)
    written(writer)
    path = small_disk / TODAY
    kept = text(path)
    assert 0 < len(kept) < 3000
    assert kept == numbered(0, len(kept)).raw.decode().splitlines()
    assert log.dropped == 3010 - len(kept)
    assert log.problem == f"{path}: No space left on device; lines are dropped"

    ballast.unlink()
    log.write(numbered(3010, 3012), WHEN)
    written(writer)
    assert text(path)[len(kept) :] == [
        f"--- {log.dropped} lines not kept: No space left on device",
        "line 03010",
        "line 03011",
    ]
    assert (log.dropped, log.problem) == (3010 - len(kept), "")


def test_a_stalled_disk_blocks_nobody_and_costs_counted_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk hangs, `write` and `close` return.

    Lines that do not fit the queue are counted.
    """
    hangs, released = threading.Event(), threading.Event()

    def hang(descriptor: int, lines: bytes) -> tuple[int, OSError | None]:
        """A write to a disk that hangs."""
        hangs.set()
        assert released.wait(60)
        return append(descriptor, lines)

    monkeypatch.setattr(logfile, "append", hang)
    writer = Writer("log", limit=100_000)
    told: list[str] = []
    log = LogFile(tmp_path, "X", writer, on_change=lambda: told.append(log.problem))
    log.write(block("first"), WHEN)
    assert hangs.wait(60)
    for start in range(0, 10_000, 100):
        log.write(numbered(start, start + 100), WHEN)
    taken = 10_000 - log.dropped
    assert 0 < taken < 10_000
    path = tmp_path / TODAY
    assert log.problem == f"{path}: the disk is too slow, or stalled; lines are dropped"
    assert told[-1] == log.problem
    released.set()
    written(writer)
    assert told[-1] == ""
    log.write(block("at last"), WHEN)
    log.close()
    assert writer.close(60)
    lost = f"--- {10_000 - taken} lines not kept: the disk is too slow, or stalled"
    assert text(path) == [
        "first",
        *numbered(0, taken).raw.decode().splitlines(),
        lost,
        "at last",
    ]
    assert (log.dropped, log.problem) == (10_000 - taken, "")


def test_old_files_that_cannot_be_deleted_are_a_problem_not_a_loss(
    tmp_path: Path, logs: Logs, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are kept while old files cannot be deleted, and the problem names the file."""
    (tmp_path / "log").mkdir()
    old = tmp_path / "log" / "X-20200101.log"
    old.touch()

    def refuse(path: Path, missing_ok: bool = False) -> None:
        """An immutable file: root may delete all others."""
        assert missing_ok
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    (tmp_path / "log" / "X-20261120.log").touch()
    log = logs(keep_days=1)
    log.write(block("a"), WHEN)
    written(writer)
    assert text(tmp_path / "log" / TODAY) == ["a"]
    assert log.problem == f"{old}: Operation not permitted; old log files stay"
    assert log.dropped == 0
    monkeypatch.undo()
    log.try_again(WHEN)
    written(writer)
    assert log.problem == ""
    assert not old.exists()
