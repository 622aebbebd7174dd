"""Fixtures of the tests that run on Windows."""

from tests.process.conftest import runner

__all__ = ["runner"]
