"""^C of commands that run until somebody ends them: host/interrupts.py."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Iterator

import pytest

from bgrscrpt_ioc.host.interrupts import Interrupts


@pytest.fixture
def usual_handler() -> Iterator[None]:
    """A test runner may have a handler of its own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_handler")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_inside_a_callback_is_not_lost() -> None:
    """Ctypes prints the KeyboardInterrupt and goes on; `check` raises it again."""
    called: list[bool] = []

    def interrupted() -> None:
        called.append(True)
        signal.raise_signal(signal.SIGINT)

    with Interrupts() as interrupts:
        interrupts.check()
        ctypes.CFUNCTYPE(None)(interrupted)()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert called == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("usual_handler")
def test_an_interrupt_is_raised_at_once() -> None:
    """As without it: nobody has to call `check`."""
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_who_ignores_it_goes_on_ignoring_it() -> None:
    """A command in the background of a script, whose SIGINT is ignored, is left as it is."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            interrupts.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
