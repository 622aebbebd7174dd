"""For all tests: who runs beside whom; and where the real things must be there, none is skipped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import bgrscrpt_ioc
from benchmarks.rig import where
from tests.windows.left_out import ACROSS, INSIDE, SAME, SAME_ACROSS

if sys.platform != "win32":
    import fcntl

HERE = Path(__file__).parent
ROOT = HERE.parent
TREE = "BGRSCRPT_TEST_TREE"
IS_ACROSS = where.WINDOWS
ALL = os.environ.get("BGRSCRPT_TEST_WINDOWS_ALL") == "all"
LEFT_OUT: dict[str, str] = {}
if sys.platform == "win32":
    LEFT_OUT = {**INSIDE, **({} if ALL else SAME)}
elif IS_ACROSS:
    LEFT_OUT = {**ACROSS, **({} if ALL else SAME_ACROSS)}

# How long an example of hypothesis takes says nothing of the code on a busy machine.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

pytest_plugins = ["tests.ioc.served"]  # fixtures that several directories use


def pytest_configure() -> None:
    """Test what users get: the wheel, installed away from the source, and not the source itself.

    Raises:
        pytest.UsageError: the source would be tested, and nobody has asked for that.
    """
    os.environ.pop("PYTHONPATH", None)  # or what a test starts would import the tester's own
    asked = os.environ.get(TREE) == "1" and os.environ.get("CI") != "true"
    if tests_the_source() and not asked:
        raise pytest.UsageError(
            f"{bgrscrpt_ioc.__file__} is the source tree, which is not what users install. Run"
            " `make test`, or `make install` and then `.venv/bin/python -P -m pytest`. To test the"
            f" source all the same, set {TREE}=1"
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was tested, if it was not the wheel."""
    if tests_the_source():
        terminalreporter.section(f"{TREE}=1: the source was tested, NOT the wheel", yellow=True)
    if LEFT_OUT:
        title = f"{len(LEFT_OUT)} tests and files not under Wine: tests/windows/left_out.py"
        terminalreporter.section(title, yellow=True)
        for name, why in LEFT_OUT.items():
            terminalreporter.line(f"{name}: {why}")


def tests_the_source() -> bool:
    """Tell whether the source tree is what is imported."""
    return Path(bgrscrpt_ioc.__file__).resolve().parent == ROOT / "bgrscrpt_ioc"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest, which have a time-out of their own, come first; those marked `alone` come last.

    So no worker is at a long one when the others have done all, and nobody waits long for `alone`.
    """

    def turn(item: pytest.Item) -> tuple[bool, float]:
        timeout = item.get_closest_marker("timeout")
        return item.get_closest_marker("alone") is not None, -timeout.args[0] if timeout else 0.0

    items.sort(key=turn)
    if LEFT_OUT:
        left_out = [item for item in items if why_left_out(item.nodeid)]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def why_left_out(name: str) -> str:
    """Return why a test, or all of a file, cannot be run under Wine; nothing if it can."""
    return next((why for each, why in LEFT_OUT.items() if name.startswith(each)), "")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out whole files: on Windows what cannot be run there, elsewhere what is for Windows."""
    if not collection_path.is_relative_to(HERE):
        return None
    path = collection_path.relative_to(ROOT).as_posix()
    if sys.platform == "win32":
        left_out = path.startswith("tests/windows/across") or why_left_out(path) != ""
    else:
        left_out = path.startswith("tests/windows/inside") or (
            why_left_out(path) != "" if IS_ACROSS else path.startswith("tests/windows/across")
        )
    return left_out or None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """One that is marked `alone` runs when none of the other workers runs a test.

    Every test has a share of a lock, these have all of it. Whoever wants it all is let in before
    those that come later: for that there is a gate. The wait is not part of the test's time.
    """
    if sys.platform == "win32":
        return (yield)  # there they run one at a time
    how = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with ExitStack() as stack:
        gate = stack.enter_context((HERE / "__init__.py").open())
        turn = stack.enter_context((HERE / "conftest.py").open())
        fcntl.flock(gate, how)
        fcntl.flock(turn, how)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(turn, fcntl.LOCK_UN)  # a child that was forked has it open too


def pytest_sessionstart() -> None:
    """Undo for our children what `nohup` and a shell script's `&` do: they ignore signals.

    A signal that a program ignores, its children are born ignoring; one it handles, they are not.
    """
    if IS_ACROSS:
        where.census()  # before others: Wine's server keeps the pipes of who starts it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in () if sys.platform == "win32" else (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_sessionfinish() -> None:
    """End what has run beside the tests."""
    if IS_ACROSS:
        where.census().kill()


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
