"""The oldest log files of an instance are deleted, and never those of others."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from bgrscrpt_ioc.output.logdir import LogDirectory, append, is_at

TODAY = date(2026, 11, 22)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(directory: LogDirectory, room: int = 1) -> Path:
    path, descriptor = directory.open(TODAY, room)
    os.close(descriptor)
    return path


def test_files_and_directories_are_closed_to_others(tmp_path: Path) -> None:
    """Under umask 0, files are 0640 and all directories that had to be made are 0750."""
    with umask(0):
        path = opened(LogDirectory(tmp_path / "a" / "b", "X"))
    assert path == tmp_path / "a" / "b" / "X-20261122.log"
    assert [mode(path), mode(path.parent), mode(path.parent.parent)] == [0o640, 0o750, 0o750]


@pytest.mark.parametrize("what", ["link", "fifo", "directory", "socket", "device"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str) -> None:
    """A link, FIFO, directory, socket or device with the file's name is not written to."""
    path = tmp_path / "X-20261122.log"
    target = tmp_path / "target"
    target.touch()
    if what == "link":
        path.symlink_to(target)
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # null
        except PermissionError:
            pytest.skip("only root can make a device")
    with pytest.raises(OSError, match=r"X-20261122\.log"):
        opened(LogDirectory(tmp_path, "X"))
    assert target.read_bytes() == b""


def test_the_last_part_of_the_day_is_continued(tmp_path: Path) -> None:
    """Output goes to the day's last file until that is full, then to the next."""
    directory = LogDirectory(tmp_path, "X", keep_bytes=400)
    (tmp_path / "X-20261122.log").write_bytes(b"x" * 99 + b"\n")
    assert opened(directory).name == "X-20261122.1.log"
    (tmp_path / "X-20261122.10.log").write_bytes(b"x" * 9 + b"\n")
    assert opened(directory, room=90).name == "X-20261122.10.log"
    assert opened(directory, room=91).name == "X-20261122.11.log"
    assert opened(directory, room=1000).name == "X-20261122.11.log"


def test_an_interrupted_line_is_ended(tmp_path: Path) -> None:
    """After a line that a power cut has interrupted, the next text begins on a new line."""
    (tmp_path / "X-20261122.log").write_bytes(b"half a li")
    assert opened(LogDirectory(tmp_path, "X")).read_bytes() == b"half a li\n"


def test_old_files_go(tmp_path: Path) -> None:
    """Files of the newest `keep_days` days before today are kept, and those with later dates."""
    for day in ("20261122", "20261120", "20261119", "20261118", "20251122", "20261123"):
        (tmp_path / f"X-{day}.log").touch()
    LogDirectory(tmp_path, "X", keep_days=2).prune(TODAY, tmp_path / "X-20261122.log")
    assert names(tmp_path) == {
        f"X-{day}.log" for day in ("20261119", "20261120", "20261122", "20261123")
    }


def test_the_oldest_files_go_when_they_are_too_much(tmp_path: Path) -> None:
    """The newest files stay that leave the current file room to grow; older ones are deleted."""
    order = ["20261120.log", "20261120.2.log", "20261121.log", "20261122.log", "20261122.9.log"]
    for name in [*order, "20261122.10.log"]:
        (tmp_path / f"X-{name}").write_bytes(bytes(100))
    directory = LogDirectory(tmp_path, "X", keep_bytes=400)
    directory.prune(TODAY, tmp_path / "X-20261122.10.log")
    assert names(tmp_path) == {f"X-{name}" for name in [*order[2:], "20261122.10.log"]}


def test_old_files_of_an_earlier_version_go(tmp_path: Path) -> None:
    """Files named without the prefix count as the instance's, unless another IOC uses them."""
    days = ("20261115", "20261116", "20261117")
    for name in [f"X-{day}.log" for day in days] + ["TE.X-20261122.log", "TE.X-20261120.log"]:
        (tmp_path / name).write_bytes(bytes(100))
    directory = LogDirectory(tmp_path, "TE.X", keep_days=2, former="X")
    assert [found.name for found in directory.segments()] == [
        "TE.X-20261120.log",
        "TE.X-20261122.log",
    ]
    (tmp_path / "X-20261121.log").touch()  # an IOC without a prefix wrote it yesterday
    directory.prune(TODAY, tmp_path / "TE.X-20261122.log")
    assert len(names(tmp_path)) == 6
    (tmp_path / "X-20261121.log").unlink()
    directory.prune(TODAY, tmp_path / "TE.X-20261122.log")
    assert names(tmp_path) == {"TE.X-20261122.log", "TE.X-20261120.log", "X-20261117.log"}
    by_size = LogDirectory(tmp_path, "TE.X", keep_bytes=250, former="X")
    by_size.prune(TODAY, tmp_path / "TE.X-20261122.log")
    assert names(tmp_path) == {"TE.X-20261122.log", "TE.X-20261120.log"}


def test_without_limits_all_is_kept(tmp_path: Path) -> None:
    """With 0 days and 0 bytes nothing is deleted, and a file has no limit."""
    (tmp_path / "X-19990101.log").write_bytes(bytes(1000))
    directory = LogDirectory(tmp_path, "X")
    directory.prune(TODAY, tmp_path / "X-20261122.log")
    assert names(tmp_path) == {"X-19990101.log"}
    assert not directory.is_full(1 << 40, 1)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    """Files whose names are not exactly this instance's are neither counted nor deleted."""
    others = {
        "X-20200101.log.gz", "X-20200101.log.1", "X-20200101.0.log", "X-20200101.01.log",
        "X-20201301.log", "X-2020-01-01.log", "XX-20200101.log", "X_2-20200101.log",
        "X-20200101.txt", "x-20200101.log",
        f"X-{2020_01_01}.log".translate({0x30: 0xFF10}), "X-20200101.log\n",
    }  # fmt: skip
    for name in others:
        (tmp_path / name).write_bytes(bytes(1000))
    (tmp_path / "X-20200102.log").symlink_to("X-20200101.txt")
    (tmp_path / "X-20200103.log").mkdir()
    directory = LogDirectory(tmp_path, "X", keep_days=1, keep_bytes=4)
    directory.prune(TODAY, tmp_path / "X-20261122.log")
    assert directory.segments() == []
    assert names(tmp_path) == others | {"X-20200102.log", "X-20200103.log"}


def test_a_file_is_known_by_what_it_is(tmp_path: Path) -> None:
    """A file that was renamed, replaced or deleted is not at its path any more."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        assert is_at(path, file.fileno())
        path.rename(tmp_path / "renamed")
        assert not is_at(path, file.fileno())
        path.symlink_to("renamed")
        assert not is_at(path, file.fileno())


def test_what_another_appended_is_not_cut_off(tmp_path: Path) -> None:
    """A failure before the first byte is returned, and removes nothing from the file."""
    path = tmp_path / "file"
    path.write_bytes(b"of another\n")
    descriptor = os.open(path, os.O_RDONLY)
    kept, error = append(descriptor, b"ours\n")
    os.close(descriptor)
    assert kept == 0
    assert isinstance(error, OSError)
    assert path.read_bytes() == b"of another\n"
