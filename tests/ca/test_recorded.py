"""Damaged messages of real clients do no harm to other clients."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.rig import fuzz
from benchmarks.rig.mutations import Mutations, messages
from benchmarks.rig.recording import FILE, load, record, save
from bgrscrpt_ioc.access.complaints import QUIET
from tests.ca import recorded
from tests.faults import standing
from tests.ioc.served import Served

SEED = int(os.environ.get("FUZZ_SEED", str(fuzz.SEED)))
CASES = 14_000  # 100,000 messages
MESSAGES = 3000  # over sockets


@pytest.mark.timeout(1800)  # 5 s of processor time
def test_100_000_messages_of_real_clients_mutated() -> None:
    """100,000 damaged messages raise nothing, leave nothing behind, and cost few log lines."""
    print(f"FUZZ_SEED={SEED}")
    watch, cases = standing.Watch(), Mutations.kept()
    logging.getLogger().addHandler(watch)
    try:
        sent = asyncio.run(standing.run(SEED, range(1000), cases))
        gc.collect()
        before = sys.getallocatedblocks()
        sent += asyncio.run(standing.run(SEED, range(1000, CASES), cases))
        gc.collect()
        assert sys.getallocatedblocks() - before < 5000
    finally:
        logging.getLogger().removeHandler(watch)
    assert sent >= 100_000
    assert all(line.startswith("bgrscrpt_ioc.clients: 10.0.0.1: ") for line in watch.lines)
    assert 1 <= len(watch.lines) < 2 + 600 / QUIET


def test_an_innocent_client_notices_nothing(start_ioc: Callable[..., Served]) -> None:
    """Beside damaged messages, another client gets and watches; afterwards the tables are empty."""
    print(f"FUZZ_SEED={SEED}")
    assert recorded.stand(start_ioc(), Mutations.kept(), SEED, MESSAGES).messages >= MESSAGES


async def test_what_is_recorded_is_what_clients_say(tmp_path: Path) -> None:
    """The kept recordings are of all clients that we have; a new recording ends normally."""
    anew = tmp_path / "sessions.json"
    save(await asyncio.to_thread(record, tmp_path), anew)
    sessions = load(anew)
    assert [each.client for each in sessions] == [each.client for each in load(FILE)]
    server = standing.Standing(standing.REAL)
    for session in sessions:
        for data in session.connections:
            whole = [each for each in messages(data) if each]
            await server.stand(fuzz.dice(0, 0), whole)
    await server.check()
    assert server.complaints.said == []
