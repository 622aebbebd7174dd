"""Output on real disks: all of it and in order, or counted to the line."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc.output import logfile
from bgrscrpt_ioc.output.logdir import append
from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.loglines import NOTHING, Block
from bgrscrpt_ioc.output.writer import Writer

MOMENT = datetime(2026, 11, 22, 13, 45, 6, 123_000)
WHEN = MOMENT.timestamp()
STAMP = "2026-11-22 13:45:06.123 "
TODAY = "X-20261122.log"


def block(*lines: str) -> Block:
    return Block("".join(f"{line}\n" for line in lines).encode(), len(lines))


def numbered(start: int, stop: int) -> Block:
    return block(*(f"line {number:05}" for number in range(start, stop)))


def text(path: Path) -> list[str]:
    """The lines of a log file without their stamps; all must have one."""
    content = path.read_text()
    assert content.endswith("\n")
    lines = content.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ", line) for line in lines)
    return [line[24:] for line in lines]


@pytest.fixture
def writer() -> Iterator[Writer]:
    """A writer that leaves no thread behind."""
    writer = Writer("log")
    yield writer
    assert writer.close(60)


Logs = Callable[..., LogFile]


@pytest.fixture
def logs(tmp_path: Path, writer: Writer) -> Iterator[Logs]:
    """Makes logs of instance X in `log`, which look and try again each time."""
    made: list[LogFile] = []

    def make(directory: Path = tmp_path / "log", **options: Any) -> LogFile:
        made.append(LogFile(directory, "X", writer, **{"patience": 0, **options}))
        return made[-1]

    yield make
    for log in made:
        log.close()


def written(writer: Writer) -> None:
    """Wait until the writer has done all that it was given."""
    done = threading.Event()
    assert writer.put(0, done.set)
    assert done.wait(60)


def test_each_line_is_stamped(tmp_path: Path, logs: Logs, writer: Writer) -> None:
    """Lines are kept byte for byte behind their local time, our remarks marked as such."""
    log = logs()
    log.write(Block(b"a\n\x1b[31m50%\r100%\xff\n", 2), WHEN)
    log.write(NOTHING, WHEN)
    log.remark("stopped by\nalice", WHEN)
    written(writer)
    stamp = STAMP.encode()
    assert (tmp_path / "log" / TODAY).read_bytes() == (
        stamp + b"a\n" + stamp + b"\x1b[31m50%\r100%\xff\n" + stamp + b"--- stopped by alice\n"
    )
    assert (log.dropped, log.problem) == (0, "")


def test_the_file_is_known_before_the_first_line(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """`prepare` opens today's file, so that its path and a problem with it are seen at once."""
    good, bad = logs(), logs(Path("/dev/null/log"))
    for log in (good, bad):
        log.prepare(WHEN)
    written(writer)
    assert (good.path, good.problem) == (str(tmp_path / "log" / TODAY), "")
    assert (bad.path, bad.problem) == ("", "/dev/null: is not a directory; lines are dropped")
    assert bad.dropped == 0


def test_each_day_has_its_file(tmp_path: Path, logs: Logs, writer: Writer) -> None:
    """A line goes to the file of its local date, also when the clock was set back."""
    log = logs()
    for days in (0, 1, 0):
        log.write(block(f"+{days}"), (MOMENT + timedelta(days)).timestamp())
    written(writer)
    assert text(tmp_path / "log" / TODAY) == ["+0", "+0"]
    assert text(tmp_path / "log" / "X-20261123.log") == ["+1"]
    assert log.path == str(tmp_path / "log" / TODAY)


def test_a_new_day_drops_old_ones(tmp_path: Path, logs: Logs, writer: Writer) -> None:
    """Files older than `keep_days` go when the next day's is opened."""
    log = logs(keep_days=1)
    for days in (0, 1, 2):
        log.write(block("a"), (MOMENT + timedelta(days)).timestamp())
    written(writer)
    assert {path.name for path in (tmp_path / "log").iterdir()} == {
        "X-20261123.log",
        "X-20261124.log",
    }


def test_a_flood_of_one_day_stays_within_its_limit(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """Today's output is split in parts of which the oldest go; the newest lines are all there."""
    log = logs(keep_mb=0.1)
    for start in range(0, 10_000, 100):
        log.write(numbered(start, start + 100), WHEN)
        written(writer)
        sizes = [path.stat().st_size for path in (tmp_path / "log").iterdir()]
        assert sum(sizes) <= 100_000
        assert max(sizes) <= 25_000
    parts = sorted((tmp_path / "log").iterdir(), key=lambda path: int(path.name.split(".")[1]))
    lines = [line for path in parts for line in text(path)]
    assert block(*lines) == numbered(10_000 - len(lines), 10_000)
    assert len(lines) > 1500
    assert log.path == str(parts[-1])


@pytest.mark.parametrize("patience", [0, 3600])
def test_a_deleted_directory_is_made_again(
    tmp_path: Path, logs: Logs, writer: Writer, patience: float
) -> None:
    """When files or their directory are deleted, the next line is in a new one: at once."""
    log = logs(patience=patience)
    log.write(block("before"), WHEN)
    written(writer)
    (tmp_path / "log" / TODAY).unlink()
    (tmp_path / "log").rmdir()
    log.write(block("after"), WHEN)
    written(writer)
    assert text(tmp_path / "log" / TODAY) == ["after"]


def test_rotation_by_another_program_is_noticed(tmp_path: Path, logs: Logs, writer: Writer) -> None:
    """When the file is renamed, lines go to a new one under the old name."""
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
    """A renamed file takes lines until the next look; then none is lost either."""
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
    """A file emptied in place (logrotate's copytruncate) goes on at its beginning."""
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
    """What is no file is not waited for; its lines count as dropped, and the file says so later."""
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
    """A failing disk is not tried for every line; the lines between are dropped and counted."""
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    if os.geteuid() != 0:
        pytest.skip("ONLY ROOT CAN MOUNT: what happens on a full disk is NOT tested")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_costs_counted_lines_and_nothing_else(
    small_disk: Path, logs: Logs, writer: Writer
) -> None:
    """On a full disk whole lines are kept as long as they fit; the rest is counted to the line."""
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
    """While the disk hangs, `write` and `close` return; what does not fit the queue is counted."""
    hangs, released = threading.Event(), threading.Event()

    def hang(descriptor: int, lines: bytes) -> tuple[int, OSError | None]:
        """Stands in for a write to a disk that hangs."""
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
    """Lines are kept while retention fails, and the problem names the file."""
    (tmp_path / "log").mkdir()
    old = tmp_path / "log" / "X-20200101.log"
    old.touch()

    def refuse(path: Path, missing_ok: bool = False) -> None:
        """Stands in for an immutable file: root may delete all others."""
        assert missing_ok
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    log = logs(keep_days=1)
    log.write(block("a"), WHEN)
    written(writer)
    assert text(tmp_path / "log" / TODAY) == ["a"]
    assert log.problem == f"{old}: Operation not permitted; old log files stay"
    assert log.dropped == 0


def test_changes_are_told(tmp_path: Path, writer: Writer) -> None:
    """`on_change` is called when path, problem or count changed, and not for each line."""
    seen: list[tuple[str, str, int]] = []
    log = LogFile(
        tmp_path / "log",
        "X",
        writer,
        patience=0,
        on_change=lambda: seen.append((Path(log.path).name, log.problem[-17:], log.dropped)),
    )
    for number in range(3):
        log.write(block(str(number)), WHEN)
    written(writer)
    (tmp_path / "log" / TODAY).unlink()
    (tmp_path / "log" / TODAY).mkdir()
    log.write(block("3"), WHEN)
    written(writer)
    log.close()
    log.write(block("4"), WHEN)
    written(writer)
    assert seen == [(TODAY, "", 0), (TODAY, "lines are dropped", 1)]


def test_a_script_faster_than_the_disk_loses_nothing(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """Who pauses while the log is behind can write far more than the queue holds."""
    log = logs()
    flood = numbered(0, 20_000)
    for _ in range(100):
        while log.behind:
            written(writer)
        log.write(flood, WHEN)
    written(writer)
    assert log.dropped == 0
    assert (tmp_path / "log" / TODAY).stat().st_size == 100 * (len(flood.raw) + 24 * 20_000)


def test_instances_share_a_directory_and_a_writer(tmp_path: Path, writer: Writer) -> None:
    """The lines of three instances written at once are each in their own file, in order."""
    logs = [LogFile(tmp_path, name, writer) for name in ("X", "X_2", "X_22")]
    for start in range(0, 5000, 50):
        for log in logs:
            log.write(numbered(start, start + 50), WHEN)
    for log in logs:
        log.close()
    written(writer)
    for name in ("X", "X_2", "X_22"):
        lines = text(tmp_path / f"{name}-20261122.log")
        assert lines == numbered(0, 5000).raw.decode().splitlines()


def test_no_descriptor_is_left(tmp_path: Path, writer: Writer) -> None:
    """After `close`, the file is closed."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    log = LogFile(tmp_path, "X", writer)
    for days in (0, 1):
        log.write(block("a"), (MOMENT + timedelta(days)).timestamp())
    log.close()
    written(writer)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
