"""For all tests: where the real things must be there, a test that is skipped has failed."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest


def pytest_sessionstart() -> None:
    """Undo for our children what `nohup` and a shell script's `&` do: they ignore signals.

    A signal that a program ignores, its children are born ignoring; one it handles, they are not.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


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
