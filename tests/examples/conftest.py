"""Fixtures of the tests of the examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.examples.instrument import Instrument
from tests.examples.plots import Plot


@pytest.fixture(scope="session", autouse=True)
def matplotlib_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One font cache for all processes of a session: to make it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        yield


@pytest.fixture
def instrument(tmp_path: Path) -> Iterator[Instrument]:
    """An instrument that holds still."""
    with Instrument(tmp_path / "instrument.log") as started:
        yield started


@pytest.fixture
def plot(tmp_path: Path, instrument: Instrument) -> Iterator[Callable[..., Plot]]:
    """Start plots of the instrument."""
    with ExitStack() as stack:

        def start(more: str = "", **options: Any) -> Plot:
            return stack.enter_context(Plot(tmp_path / "plot", instrument.port, more, **options))

        yield start
