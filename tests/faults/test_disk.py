"""No disk can harm the IOC: PVs live on, LOG is right, lines that are not on disk are counted."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.rig.ca import ECA_NORMAL, STRING
from benchmarks.rig.iocs import until
from bgrscrpt_ioc.lifecycle.events import State
from tests.faults.benches import PRINTER, Bench, P, bench, missing, printed
from tests.faults.disks import Disk, ext4, tmpfs

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
    """Check that every line is on disk or counted, and none is both."""
    assert len(printed(bench.logs)) + bench.dropped == bench.count


def is_alive(bench: Bench) -> None:
    """A client's commands are carried out."""
    assert bench.client.put_callback(P + "CHECK") == ECA_NORMAL
    assert bench.client.get(P + "STATUS") == State.RUNNING


def resumes(bench: Bench, trouble: str) -> None:
    """Check that without another line all is well again, and that each change was reported once."""
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
    """Lines without room are counted; when there is room, the file goes on by itself."""
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
    """In ten floods, each with a full disk for a while, no line is counted wrong."""
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
    """An IOC starts with a read-only log disk, and uses the disk when it can."""
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
    """While something read-only is mounted over the directory, lines are counted."""
    with bench(tmp_path) as it:
        it.run()
        it.print(10)
        with tmpfs(it.logs) as cover:
            cover.remount("ro")
            until(lambda: it.print(1) or it.in_alarm())
            is_alive(it)
        resumes(it, f"Read-only file system; {LOST}")


def test_a_removed_log_directory(tmp_path: Path) -> None:
    """A deleted directory is made again, and no line is lost."""
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
    """After a disk is unmounted, its directory takes the lines."""
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
    """A file in its place is named, lines are counted, and the directory is used again later."""
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
    """While all writes hang in the kernel, lines wait up to a limit; further ones are counted."""
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
    """Input/output errors cost counted lines, until the disk is mounted again."""
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
    """If nobody reads the echo's pipe, a flood costs the file and LOG nothing."""
    with bench(tmp_path) as it:
        it.run(PRINTER, "--echo")
        it.print(50_000)
        is_alive(it)
        until(lambda: len(printed(it.logs)) == it.count)
        assert it.dropped == 0


def kept(bench: Bench) -> object:
    """Return AUTORESTART from the state file."""
    file = bench.directory / "state" / "TE.BGRSCRPT_01.json"
    return json.loads(file.read_text())["autorestart"] if file.exists() else None


STATE, HISTORY = "AUTORESTART and the last START or STOP", "the history"


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_bad_state_disk(tmp_path: Path, fault: str) -> None:
    """What cannot be saved is saved as soon as possible, and reported once."""
    with tmpfs(tmp_path / "state", "512k") as disk, bench(tmp_path) as it:
        if fault == "read-only":
            disk.remount("ro")
            it.run()
        else:
            it.run()
            disk.fill()
        assert it.client.put_callback(P + "AUTORESTART", 0) == ECA_NORMAL
        assert it.client.put_callback(P + "RESTART") == ECA_NORMAL
        it.ioc.wait_for(f"{STATE} cannot be kept")
        it.ioc.wait_for(f"{HISTORY} cannot be kept")
        is_alive(it)
        disk.remount("rw")
        if fault == "full":
            disk.make_room()
        until(lambda: kept(it) is False)
        it.ioc.wait_for(f"{STATE} are kept again")
        it.ioc.wait_for(f"{HISTORY} is kept again")
        assert (it.said("cannot be kept"), it.said("kept again")) == (2, 2)
        it.client.put_callback(P + "STOP")


@pytest.mark.parametrize("content", [b'{"autor', bytes(range(256)), b'{"wanted": 7}', b"{}", None])
def test_a_bad_state_file(tmp_path: Path, content: bytes | None) -> None:
    """The IOC starts with a state file that is cut, garbage, of wrong types, old or a directory."""
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "TE.BGRSCRPT_01.json"
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
    (state / "TE.BGRSCRPT_01.json").write_bytes(b"\0" * 40)


@pytest.mark.parametrize("damage", [shutil.rmtree, spoil])
def test_a_state_directory_damaged_while_the_ioc_runs(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    """An IOC that ends leaves its state on disk, whatever was done to the file."""
    with bench(tmp_path) as it:
        it.run()
        it.client.put_callback(P + "AUTORESTART", 0)
        until(lambda: kept(it) is False)
        damage(tmp_path / "state")
        is_alive(it)
        assert it.ioc.end() == 0
        assert kept(it) is False


def test_all_on_one_full_disk(tmp_path: Path) -> None:
    """State, registry and logs have no room at the start; all are written when there is room."""
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
            until((disk.path / "TE.BGRSCRPT_01.json").exists)
            all_is_accounted_for(it)
            with closing(sqlite3.connect(disk.path / "iocdb.sqlite")) as database:
                row = database.execute("SELECT pid, running FROM iocrt").fetchall()
            assert row == [(it.client.get(P + "PID"), 1)]
            it.client.put_callback(P + "STOP")
