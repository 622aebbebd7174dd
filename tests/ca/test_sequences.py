"""Sequences of base's acceptance test, by the real libca: our results are those of base's server.

`python -m tests.ca.acctst` runs the acceptance test itself, which takes minutes.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.ca import DEADLINE, HERE, Client, Peer, ca_environ, free_port
from tests.ca import sequences
from tests.ioc.served import P, Served
from tests.ioc.test_dbfile import TEMPLATE

MANY = ("STATUS", "AUTORESTART", "PID", "EXITCODE", "STATUS.DESC", "STATUS.SEVR")
TEXT = "hello"
NAMES = [each.__name__ for each in sequences.SEQUENCES]
Found = dict[str, Any]


def run(server: Peer, port: int) -> Found:
    """Run all sequences against the server at a port; return the results of each."""
    names = (f"{P}AUTORESTART", f"{P}LOG", *(f"{P}{each}" for each in MANY))
    command = [sys.executable, sequences.__file__, *names]
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        subprocess.Popen(command, env=ca_environ(port), stdout=out, stderr=err) as client,
    ):
        assert server.process.stdout is not None
        end = time.monotonic() + 4 * DEADLINE
        while client.poll() is None:
            if time.monotonic() > end:
                client.kill()
                pytest.fail("no end")
            # It waits where nobody reads what it says.
            select.select([server.process.stdout], [], [], 0.05)
            server.answered(-1)
        out.seek(0)
        err.seek(0)
        assert client.returncode == 0, err.read()[-2000:]
        return {name: result for name, result, _ in map(json.loads, out)}


def of_base() -> Found:
    """Return the results from base's server."""
    port = free_port()
    command = [sys.executable, str(HERE / "softioc_peer.py"), str(TEMPLATE)]
    with Peer([*command, "P=TE:,NAME=BGRSCRPT_01"], ca_environ(port)) as server:
        with Client(port) as client:
            client.put_callback(f"{P}LOG", [*TEXT.encode(), 0])
        return run(server, port)


def of_ours(log: Path) -> Found:
    """Return the results from our server, and check that no client is left in it."""
    with Served(log, still=True) as server:
        server.publish("LOG", TEXT)
        found = run(server, server.port)
        server.wait_for(lambda: not any(server.ask("kept").values()))
        assert "Traceback" not in log.read_text()
        assert "clients: " not in log.read_text()
        return found


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Found]:
    """Return the results from both servers, run at one time because libca mostly waits."""
    log = tmp_path_factory.mktemp("sequences") / "log"
    with ThreadPoolExecutor() as pool:
        base, ours = pool.submit(of_base), pool.submit(of_ours, log)
        return base.result(), ours.result()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_sequence(both: tuple[Found, Found], name: str) -> None:
    """A sequence has the same values and statuses from both servers, in the same order."""
    base, ours = both
    assert ours[name] == base[name]
