"""The disk cannot hurt the IOC: PVs live on, LOG is right, what is not on file is counted."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bgrscrpt_ioc.events import State
from tests.faults.benches import PRINTER, Bench, P, bench, missing, printed
from tests.faults.disks import Disk, ext4, tmpfs
from tests.ioc.ca import ECA_NORMAL, STRING
from tests.ioc.iocs import until

BACK = "is written again"
LOST = "lines are dropped"
REGISTERING = """
from server_common.helpers import register_ioc_start
register_ioc_start("BGRSCRPT_01")
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk."""
    with tmpfs(tmp_path / "disk", "512k") as disk:
        yield disk


def all_is_accounted_for(bench: Bench) -> None:
    """Every line is on file or counted, and no line is both."""
    assert len(printed(bench.logs)) + bench.dropped == bench.count


def is_alive(bench: Bench) -> None:
    """A client's commands are carried out."""
    assert bench.client.put_callback(P + "CHECK") == ECA_NORMAL
    assert bench.client.get(P + "STATUS") == State.RUNNING


def resumes(bench: Bench, trouble: str) -> None:
    """With nothing more printed, all is well again; and each change was said once."""
    until(bench.is_well)
    bench.ioc.wait_for(BACK)
    assert (bench.said(trouble), bench.said(BACK)) == (1, 1)
    assert bench.said(f"again; {bench.dropped} lines are lost") == 1
    dropped = bench.dropped
    bench.print(10)
    until(lambda: printed(bench.logs)[-1].startswith(f"line {bench.count - 1:08}"))
    assert bench.dropped == dropped
    all_is_accounted_for(bench)


def test_a_full_log_disk(tmp_path: Path, disk: Disk) -> None:
    """Lines that find no room are counted; when there is room, the file goes on by itself."""
    with bench(tmp_path, disk.path / "log") as it:
        it.run()
        it.print(10)
        disk.fill()
        for _ in range(5):
            it.print(100)
        until(it.in_alarm)
        is_alive(it)
        assert it.dropped > 0
        disk.make_room()
        resumes(it, f"No space left on device; {LOST}")
        assert missing(it.logs, "No space left on device") == it.dropped


def test_a_disk_that_fills_up_and_empties_time_and_again(tmp_path: Path, disk: Disk) -> None:
    """Through ten floods in each of which the disk is full for a while, no line is miscounted."""
    with bench(tmp_path, disk.path / "log") as it:
        it.run()
        for _ in range(10):
            it.order(300)
            disk.fill()
            it.print(300)
            disk.make_room()
        until(it.is_well)
        it.print(1)
        until(lambda: len(printed(it.logs)) + it.dropped == it.count)
        assert it.dropped > 0


def test_a_read_only_log_disk(tmp_path: Path, disk: Disk) -> None:
    """An IOC starts on a log disk that is read-only, and uses it when it may."""
    disk.remount("ro")
    with bench(tmp_path, disk.path / "log") as it:
        it.run()
        it.print(10)
        until(it.in_alarm)
        is_alive(it)
        assert (it.dropped, it.client.text(P + "LOG:FILE")) == (11, "")
        disk.remount("rw")
        resumes(it, f"Read-only file system; {LOST}")


def test_a_log_directory_that_becomes_read_only(tmp_path: Path) -> None:
    """Where something read-only is mounted over it, lines are counted until that is gone."""
    with bench(tmp_path) as it:
        it.run()
        it.print(10)
        with tmpfs(it.logs) as cover:
            cover.remount("ro")
            until(lambda: it.print(1) or it.in_alarm())
            is_alive(it)
        resumes(it, f"Read-only file system; {LOST}")


def test_a_removed_log_directory(tmp_path: Path) -> None:
    """A directory that is deleted is made again, and no line is lost for it."""
    with bench(tmp_path) as it:
        it.run()
        it.print(10)
        until(lambda: len(printed(it.logs)) == 11)
        shutil.rmtree(it.logs)
        it.print(5)
        until(lambda: it.logs.exists() and len(printed(it.logs)) == 5)
        assert it.is_well()
        assert it.dropped == 0
        assert it.said(LOST) == 0


def test_a_log_disk_that_is_taken_away(tmp_path: Path) -> None:
    """An unmounted disk leaves its directory behind, which takes the lines from then on."""
    logs = tmp_path / "disk"
    with bench(tmp_path, logs) as it:
        with tmpfs(logs):
            it.run()
            it.print(10)
            until(lambda: len(printed(it.logs)) == 11)
        until(lambda: it.print(1) or len(printed(it.logs)) > 0)
        is_alive(it)
        assert it.dropped == 0


def test_a_file_in_the_place_of_the_log_directory(tmp_path: Path) -> None:
    """What is in the way is named, lines are counted, and the directory is used when it is back."""
    with bench(tmp_path) as it:
        it.run()
        it.print(10)
        it.logs.rename(tmp_path / "aside")
        it.logs.touch()
        until(lambda: it.print(1) or it.in_alarm())
        is_alive(it)
        it.logs.unlink()
        (tmp_path / "aside").rename(it.logs)
        resumes(it, f"Not a directory; {LOST}")


def test_a_stalled_log_disk(tmp_path: Path) -> None:
    """While all writes hang in the kernel lines wait, up to a limit; what is over it is counted."""
    logs = tmp_path / "disk"
    with ext4(logs, tmp_path / "image", 64) as disk, bench(tmp_path, logs) as it:
        it.run()
        it.print(10)
        until(lambda: len(printed(it.logs)) == 11)
        with disk.frozen():
            it.print(100)
            until(it.in_alarm)
            is_alive(it)
            assert it.dropped == 0
            it.ioc.wait_for("does not answer; lines wait")
            it.print(300_000)  # 24 MB
            assert it.dropped > 0
            is_alive(it)
        resumes(it, "does not answer; lines wait")
        assert missing(it.logs, "the disk is too slow, or stalled") == it.dropped


def test_a_log_disk_with_errors(tmp_path: Path) -> None:
    """Input/output errors cost counted lines, until the disk is mounted anew."""
    logs = tmp_path / "disk"
    with bench(tmp_path, logs) as it:
        with ext4(logs, tmp_path / "image") as disk:
            it.run()
            it.print(10)
            until(lambda: len(printed(it.logs)) == 11)
            disk.break_down()
            it.print(100)
            until(it.in_alarm)
            is_alive(it)
            assert it.dropped == 100
        with ext4(logs, tmp_path / "image"):
            resumes(it, f"Input/output error; {LOST}")
            assert it.dropped == 100
            # The disk goes before the IOC does.
            it.client.put_callback(P + "STOP")


def test_a_reader_of_stdout_that_stops(tmp_path: Path) -> None:
    """A flood echoed to a pipe that nobody reads costs the file and LOG nothing."""
    with bench(tmp_path) as it:
        it.run(PRINTER, "--echo")
        it.print(50_000)
        is_alive(it)
        until(lambda: len(printed(it.logs)) == it.count)
        assert it.dropped == 0


def kept(bench: Bench) -> object:
    """AUTORESTART as the state file has it."""
    file = bench.directory / "state" / "BGRSCRPT_01.json"
    return json.loads(file.read_text())["autorestart"] if file.exists() else None


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_bad_state_disk(tmp_path: Path, fault: str) -> None:
    """What cannot be saved is saved as soon as it can be, and said once."""
    with tmpfs(tmp_path / "state", "512k") as disk, bench(tmp_path) as it:
        if fault == "read-only":
            disk.remount("ro")
            it.run()
        else:
            it.run()
            disk.fill()
        assert it.client.put_callback(P + "AUTORESTART", 0) == ECA_NORMAL
        assert it.client.put_callback(P + "RESTART") == ECA_NORMAL
        it.ioc.wait_for("cannot be kept")
        is_alive(it)
        disk.remount("rw")
        if fault == "full":
            disk.make_room()
        until(lambda: kept(it) is False)
        it.ioc.wait_for("are kept again")
        assert (it.said("cannot be kept"), it.said("are kept again")) == (1, 1)
        it.client.put_callback(P + "STOP")


@pytest.mark.parametrize("content", [b'{"autor', bytes(range(256)), b'{"wanted": 7}', b"{}", None])
def test_a_bad_state_file(tmp_path: Path, content: bytes | None) -> None:
    """Truncated, garbage, of wrong types, of an older version, a directory: the IOC starts."""
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "BGRSCRPT_01.json"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with bench(tmp_path) as it:
        it.run()
        assert it.said("defaults used") == (content != b"{}")
        assert it.client.get(P + "AUTORESTART", STRING) == "On"


def spoil(state: Path) -> None:
    """Fill the state file with garbage."""
    (state / "BGRSCRPT_01.json").write_bytes(b"\0" * 40)


@pytest.mark.parametrize("damage", [shutil.rmtree, spoil])
def test_a_state_directory_damaged_while_the_ioc_runs(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """An IOC that ends leaves the state behind that it had, whatever was done to the file."""
    with bench(tmp_path) as it:
        it.run()
        it.client.put_callback(P + "AUTORESTART", 0)
        until(lambda: kept(it) is False)
        damage(tmp_path / "state")
        is_alive(it)
        assert it.ioc.end() == 0
        assert kept(it) is False


def test_all_on_one_full_disk(tmp_path: Path) -> None:
    """State, registry and logs find no room at the start; all are written when there is some."""
    with tmpfs(tmp_path / "state", "1m") as disk:
        disk.fill()
        with bench(tmp_path, disk.path / "log") as it:
            it.run(REGISTERING + PRINTER)
            it.order(10)
            until(lambda: it.count == 11)
            until(it.in_alarm)
            until(lambda: it.severity("REGISTERED"))
            is_alive(it)
            assert it.dropped > 0
            disk.make_room()
            until(lambda: it.client.get(P + "REGISTERED", STRING) == "Yes", 60)
            until(it.is_well)
            until((disk.path / "BGRSCRPT_01.json").exists)
            all_is_accounted_for(it)
            with closing(sqlite3.connect(disk.path / "iocdb.sqlite")) as database:
                row = database.execute("SELECT pid, running FROM iocrt").fetchall()
            assert row == [(it.client.get(P + "PID"), 1)]
            it.client.put_callback(P + "STOP")
