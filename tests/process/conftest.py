"""Fixtures of the tests with real scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc.output.logfile import LogFile
from bgrscrpt_ioc.output.writer import Writer
from tests.process.logfiles import Logs
from tests.process.scripts import Runner
from tests.process.supervised import Bench


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    """Launches scripts, and kills what they leave when the test ends."""
    runner = Runner()
    yield runner
    await runner.close()


@pytest.fixture
def writer() -> Iterator[Writer]:
    """A writer whose thread ends with the test."""
    writer = Writer("log")
    yield writer
    assert writer.close(60)


@pytest.fixture
def logs(tmp_path: Path, writer: Writer) -> Iterator[Logs]:
    """Makes logs of instance X in `log` that look at the disk and try again each time."""
    made: list[LogFile] = []

    def make(directory: Path = tmp_path / "log", **options: Any) -> LogFile:
        made.append(LogFile(directory, "X", writer, **{"patience": 0, **options}))
        return made[-1]

    yield make
    for log in made:
        log.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    from tests.faults.disks import tmpfs  # not at the top: Windows has none

    with tmpfs(tmp_path / "small") as disk:
        yield disk.path


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bench whose script is stopped when the test ends."""
    bench = Bench(tmp_path)
    yield bench
    await bench.close()
