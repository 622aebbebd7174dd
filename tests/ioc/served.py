"""Fixtures of all tests over Channel Access: servers and clients as processes.

A plugin of every test (../conftest.py), because several directories use it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig import where
from benchmarks.rig.ca import HERE, Client, Peer, ca_environ, free_port

P = "TE:BGRSCRPT_01:"


class Served(Peer):
    """An IOC with a fake instance behind real PVs; see fixture_ioc.py for what it can be asked."""

    def __init__(self, log: Path, environ: dict[str, str] | None = None, **options: Any) -> None:
        self.port = options.setdefault("port", free_port())
        self.log = log
        options = {
            "log": str(log),
            "interfaces": ["127.0.0.1"],
            "prefix": "TE:",
            "names": ["BGRSCRPT_01"],
            "procserv_pvs": False,
            "log_tail": 16000,
            "limits": {},
            "still": False,
            "fast_reads": True,
            **options,
        }
        command = [where.PYTHON, "-X", "dev", "-W", "error", str(HERE / "fixture_ioc.py")]
        super().__init__([*command, json.dumps(options)], ca_environ(self.port, **(environ or {})))

    def publish(self, pv: str, value: Any, severity: int = 0) -> None:
        """Have a reading published, and wait until it is."""
        self.ask("publish", pv=pv, value=value, severity=severity)

    def asked(self, command: str) -> str:
        """Wait until a client's command has reached the instance; by whom."""
        return self.wait_for_message("asked", command)["by"]

    def complete(self, command: str, failure: str = "", fault: str = "") -> None:
        """Let the oldest of such commands end."""
        self.ask("complete", command=command, failure=failure, fault=fault)


@pytest.fixture
def start_ioc(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start IOCs; at the end of the test each ends by itself, clean and with nothing left."""
    started: list[Served] = []

    def _start(**options: Any) -> Served:
        started.append(Served(tmp_path / f"ioc{len(started)}.log", **options))
        return started[-1]

    with ExitStack() as stack:
        yield _start
        for ioc in started:
            stack.enter_context(ioc)
        for ioc in started:
            if ioc.process.returncode is None:
                assert ioc.end() == 0, ioc.errors.decode()
                assert {"left": 0} in ioc.said
                assert ioc.errors.decode() == ""


@pytest.fixture
def serve(start_ioc: Callable[..., Served]) -> Served:
    """One IOC with BGRSCRPT_01 of prefix TE:."""
    return start_ioc()


@pytest.fixture
def start_client(serve: Served) -> Iterator[Callable[..., Client]]:
    """Start clients of `serve`."""
    with ExitStack() as stack:
        yield lambda **environ: stack.enter_context(Client(serve.port, **environ))


@pytest.fixture
def client(start_client: Callable[..., Client]) -> Client:
    """One client of `serve`."""
    return start_client()
