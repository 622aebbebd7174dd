"""An instance belongs to one IOC on a host, and what an earlier one left behind is ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.hold import Hold, TakenError, sweep
from bgrscrpt_ioc.launch import COOKIE

KEY = f"{os.getpid()}/TE:BGRSCRPT_01"


def test_an_instance_is_held_once(tmp_path: Path) -> None:
    """A second holder is refused with the instance's name, and may have it when it is released."""
    first, second = Hold(), Hold()
    first.take(KEY, tmp_path / "a.lock")
    with pytest.raises(
        TakenError, match=rf"already serves TE:BGRSCRPT_01 on port .*, the process {os.getpid()}$"
    ):
        second.take(KEY, tmp_path / "b.lock")
    first.release()
    second.take(KEY, tmp_path / "b.lock")
    second.release()


def test_a_state_directory_is_held_once(tmp_path: Path) -> None:
    """The same state under another name is refused too, with the pid of the holder."""
    first, second = Hold(), Hold()
    first.take(KEY, tmp_path / "a.lock")
    with pytest.raises(TakenError, match=f"served by the IOC with pid {os.getpid()}"):
        second.take(KEY + "b", tmp_path / "a.lock")
    first.release()
    second.release()


def test_no_state_directory_is_no_reason_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the lock cannot be made the IOC serves all the same, and says what it cannot keep."""
    (tmp_path / "file").touch()
    hold = Hold()
    hold.take(KEY, tmp_path / "file" / "a.lock")
    hold.release()
    assert "IOCs in other containers are not kept out" in caplog.text


def test_sweep_ends_orphans_of_the_instance_only(tmp_path: Path) -> None:
    """Whoever carries the instance's cookie of an earlier IOC is killed; others are not."""

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
