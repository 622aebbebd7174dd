"""For all tests: where the real things must be there, a test that is skipped has failed."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest


def pytest_sessionstart() -> None:
    """Undo what `make test &` of a shell script does: its programs are born with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With `CI=true`, fail instead of skipping; elsewhere `-ra` says what was skipped, and why."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and call.excinfo is not None:
        report.outcome = "failed"
        report.longrepr = f"skipped, but CI=true: {call.excinfo.value}"
    return report
