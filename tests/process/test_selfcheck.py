"""`check --self` tries this machine, and says what works there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bgrscrpt_ioc.script import selfcheck


def test_all_of_it_works_here() -> None:
    """Each trial is named and works, and the exit code says so."""
    told = subprocess.run(
        [sys.executable, "-m", "bgrscrpt_ioc", "check", "--self"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=100,
        check=False,
    )
    first, *lines = told.stdout.decode().splitlines()
    assert first.startswith("bgrscrpt-ioc ")
    assert lines == [f"works: {title}" for title in selfcheck.TRIALS]
    assert told.returncode == 0


async def test_what_does_not_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that finds something else, or raises, is told with its reason."""

    async def broken(_: selfcheck.Bench) -> None:
        raise selfcheck.FailedTrialError("expected 1, found 2")

    monkeypatch.setattr(selfcheck, "TRIALS", {"it counts": broken})
    found = [each async for each in selfcheck.trials()]
    assert found == [("it counts", "FailedTrialError: expected 1, found 2")]
