"""On a good disk, all output is in the file of its day, in order."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.loglines import NOTHING, Block
from bgrscrpt_ioc.output.writer import Writer
from tests.process.logfiles import MOMENT, STAMP, TODAY, WHEN, Logs, block, numbered, text, written


def test_each_line_is_stamped(tmp_path: Path, logs: Logs, writer: Writer) -> None:
    """Lines are kept byte for byte behind their local time, our remarks marked as such."""
    log = logs()
    log.write(Block(b"a\n\x1b[31m50%\r100%\xff\n", 2), WHEN)
    log.write(NOTHING, WHEN)
    log.remark("stopped by\nalice", WHEN)
    written(writer)
    stamp = STAMP.encode()
    assert (tmp_path / "log" / TODAY).read_bytes() == (
        stamp + b"a\n" + stamp + b"\x1b[31m50%\r100%\xff\n" + stamp + b"--- stopped by\\nalice\n"
    )
    assert (log.dropped, log.problem) == (0, "")


def test_the_file_is_known_before_the_first_line(
    tmp_path: Path, logs: Logs, writer: Writer
) -> None:
    """`prepare` opens today's file, so that its path or a problem with it is known at once."""
    good, bad = logs(), logs(Path("/dev/null/log"))
    for log in (good, bad):
        log.prepare(WHEN)
    written(writer)
    assert (good.path, good.problem) == (str(tmp_path / "log" / TODAY), "")
    assert (bad.path, bad.problem) == ("", "/dev/null: Not a directory; lines are dropped")
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
    """When the next day's file is opened, files older than `keep_days` are deleted."""
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
    """Output of one day is split into parts.

    The oldest are deleted, and the newest lines are there.
    """
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


def test_changes_are_told(tmp_path: Path, writer: Writer) -> None:
    """`on_change` is called when path, problem or count have changed, and not for each line."""
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
    """A script that pauses while the log is behind can write far more than the queue holds."""
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
    """Lines that three instances write at once are each in their own file, in order."""
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
