"""Fixtures of the tests with real scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.process.scripts import Runner


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    """Launches scripts; nothing of them is left at the end."""
    runner = Runner()
    yield runner
    await runner.close()
