"""Scripts that do not want to be stopped are stopped, and nothing of them is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rig.ca import ECA_NORMAL, STRING, Client
from benchmarks.rig.iocs import Ioc, until
from tests.faults.nasty import text_of
from tests.faults.observer import look

LEAST = {  # processes that the script consists of when it is whole
    "deaf": 1,
    "forks": 7,
    "daemon": 2,
    "hidden": 2,
    "holds the GIL": 1,
    "crowd": 201,
}


@pytest.mark.parametrize("kind", LEAST)
def test_stop_leaves_nothing(tmp_path: Path, kind: str) -> None:
    """STOP succeeds, and at that moment no process of the script lives."""
    (tmp_path / "script.py").write_text(text_of(kind, crowd=200))
    settings = tmp_path / "ioc.toml"
    settings.write_text(
        'prefix = "TE:"\n[instance.BGRSCRPT_01]\nscript = "script.py"\nstop_timeout = 0.5\n'
    )
    with Ioc(tmp_path, "--config", settings) as ioc:
        ioc.ready().wait_for("up\n")
        until(lambda: number(ioc) >= LEAST[kind])
        with Client(ioc.port) as client:
            assert client.put_callback("TE:BGRSCRPT_01:STOP") == ECA_NORMAL
            assert number(ioc) == 0
            assert client.get("TE:BGRSCRPT_01:STATUS", STRING) == "Stopped"


def number(ioc: Ioc) -> int:
    """Return how many processes of scripts there are."""
    return sum(len(pids) for runs in look(str(ioc.port)).values() for pids in runs.values())
