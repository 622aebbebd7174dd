"""An instance belongs to one IOC on a host, and what an earlier IOC left of it is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgrscrpt_ioc.host.files import file_name, take_over
from bgrscrpt_ioc.host.hold import Hold, TakenError
from bgrscrpt_ioc.host.posix import processes as posix
from bgrscrpt_ioc.host.posix.mark import inherited, mark_of
from bgrscrpt_ioc.host.system import sweep
from bgrscrpt_ioc.process.order import COOKIE

KEY = f"{os.getpid()}/TE:BGRSCRPT_01"


def test_an_instance_is_held_once(tmp_path: Path) -> None:
    """A second holder is refused with the instance's name, and accepted after the release."""
    first, second = Hold(), Hold()
    first.take(KEY, tmp_path / "a.lock")
    with pytest.raises(
        TakenError,
        match=rf"TE:BGRSCRPT_01 on port .* served on this host by the process {os.getpid()}$",
    ):
        second.take(KEY, tmp_path / "b.lock")
    first.release()
    second.take(KEY, tmp_path / "b.lock")
    second.release()


def test_a_state_directory_is_held_once(tmp_path: Path) -> None:
    """The same state under another name is refused too, with the pid of the holder."""
    first, second = Hold(), Hold()
    first.take(KEY, tmp_path / "a.lock")
    with pytest.raises(TakenError, match=f"in use by another IOC with pid {os.getpid()} .*a.lock"):
        second.take(KEY + "b", tmp_path / "a.lock")
    first.release()
    second.release()


def test_no_state_directory_is_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the lock cannot be made, the IOC serves anyway, and says what it cannot keep."""
    (tmp_path / "file").touch()
    hold = Hold()
    hold.take(KEY, tmp_path / "file" / "a.lock")
    hold.release()
    assert "IOCs in other containers would not be noticed" in caplog.text


def test_a_forced_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With `force` a name that is taken causes a warning, but the same state is still refused."""
    first, second = Hold(), Hold()
    first.take(KEY, tmp_path / "a.lock")
    second.take(KEY, tmp_path / "b.lock", force=True)
    assert "served all the same, because it is forced" in caplog.text
    with pytest.raises(TakenError, match="in use by another IOC"):
        second.take(KEY, tmp_path / "a.lock", force=True)
    first.release()
    second.release()


def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error other than "somebody has it" is reported as it is, and names no holder."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    hold = Hold()
    hold.take(KEY, tmp_path / "a.lock")
    hold.release()
    assert "cannot be locked: No locks available" in caplog.text


def test_files_of_two_prefixes(tmp_path: Path) -> None:
    """No two PV names have one file; a file of an earlier version is taken over once."""
    names = ["TE:A", "TE.A", "TE%3AA", "TE%2EA", "TE/A", "TEA", "te:A"]
    assert len({file_name(each) for each in names}) == len(names)
    assert file_name("TE:NDW1234:BGRSCRPT_01") == "TE.NDW1234.BGRSCRPT_01"
    (tmp_path / "A.json").write_text("{}")
    for prefix in ("TE:", "TF:"):
        assert take_over(tmp_path / "A.json", tmp_path / f"{file_name(prefix)}A.json") == ""
    assert [each.name for each in tmp_path.iterdir()] == ["TE.A.json"]


def test_sweep_leaves_what_a_living_ioc_runs(tmp_path: Path) -> None:
    """A process with the cookie or mark of a living IOC is no orphan."""
    code = "print('up', flush=True); input()"
    living, dead = posix.own_id(), "1.2"
    cases = [(living, True, 0), (living, False, 0), (dead, False, 1), (dead, True, 1)]
    for ioc, by_cookie, swept in cases:
        cookie = f"{ioc}/{KEY}/7"
        environ = {**os.environ, **({COOKIE: cookie} if by_cookie else {})}
        with contextlib.nullcontext() if by_cookie else inherited(mark_of(cookie)):
            child = subprocess.Popen(
                [sys.executable, "-c", code],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=tmp_path,
            )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"up\n"
            assert (sweep({KEY}), by_cookie, ioc) == (swept, by_cookie, ioc)
            child.communicate(b"\n", timeout=30)
            assert child.returncode == -9 * swept


def test_sweep_ends_orphans_of_the_instance_only(tmp_path: Path) -> None:
    """Processes with the instance's cookie of an earlier IOC are killed; others are not."""

    def sleeper(cookie: str) -> subprocess.Popen[str]:
        code = "print('up', flush=True); input()"
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, COOKIE: cookie},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        return child

    with sleeper(f"1.2/{KEY}/7") as orphan, sleeper(f"1.2/{KEY}0/7") as other:
        assert sweep({KEY}) == 1
        assert orphan.wait(30) == -9
        assert posix.look_up(other.pid) is not None
        other.communicate("\n", timeout=30)
    assert sweep({KEY}) == 0
