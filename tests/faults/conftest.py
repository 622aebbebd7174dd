"""Fixtures of the faults that need servers and clients over Channel Access."""

from tests.ioc.conftest import client, serve, start_client, start_ioc

__all__ = ["client", "serve", "start_client", "start_ioc"]
