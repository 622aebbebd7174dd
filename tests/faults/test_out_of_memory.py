"""The exit reason says so if the kernel has killed a script because memory ran out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.scripts import Runner

HIERARCHIES = (  # of cgroup v1 and v2: where they are mounted, and the file of the limit
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@pytest.fixture
async def runner() -> Runner:
    return Runner()


@pytest.fixture
def small_cgroup(tmp_path: Path) -> Iterator[Path]:
    """A memory cgroup of 50 MB."""
    for root, limit in HIERARCHIES:
        cgroup = root / f"bgrscrpt-{tmp_path.parent.name}-{tmp_path.name}"
        try:
            cgroup.mkdir()
        except OSError:
            continue
        if (cgroup / limit).exists():
            (cgroup / limit).write_text("50000000")
            yield cgroup
            end = time.monotonic() + 20
            while (cgroup / "cgroup.procs").read_text() and time.monotonic() < end:
                time.sleep(0.01)
            cgroup.rmdir()
            return
        cgroup.rmdir()
    pytest.skip("no memory cgroup can be made here (it takes root)")


async def test_the_reason_is_told(tmp_path: Path, small_cgroup: Path, runner: Runner) -> None:
    """A real kill by the kernel's out-of-memory killer is not taken for somebody's `kill -9`."""
    python, script = tmp_path / "python", tmp_path / "script.py"
    python.write_text(
        f'#!/bin/sh\necho $$ >{small_cgroup}/cgroup.procs\nexec {sys.executable} "$@"'
    )
    python.chmod(0o755)
    script.write_text("hoard = bytearray(500_000_000)\n")
    try:
        heard = await runner.run(script, str(python))
    finally:
        await runner.close()
    assert (heard.code, heard.reason) == (-9, "SIGKILL (out of memory)")
