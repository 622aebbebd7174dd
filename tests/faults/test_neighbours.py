"""While a client attacks, an instance obeys as ever; afterwards the IOC is as it was before.

How long others wait meanwhile is measured by `python -m benchmarks.neighbours`; what scripts do to
their neighbours is in `test_hostile_scripts.py`.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.rig.attacks import ARRAY, ATTACKS, under
from benchmarks.rig.ca import ECA_NORMAL, Client
from benchmarks.rig.iocs import FOREVER, Ioc, until
from benchmarks.rig.network import STRUCTURES, Watched
from bgrscrpt_ioc.lifecycle.events import State

P = "TE:BGRSCRPT_01:"
# When an attack is under way: s of the IOC's processor time, or descriptors that it has more.
FELT, JOINED = 0.05, 15
LINES = 3  # of the log in the time of one attack: of a host, of its puts, of full tables


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ioc, Client]]:
    """One IOC that stands all attacks, and a client who may command it; the attackers may not."""
    directory: Path = tmp_path_factory.mktemp("attacked")
    script, rules = directory / "script.py", directory / "access.acf"
    script.write_text(ARRAY + "print(('x' * 79 + '\\n') * 300)\n" + FOREVER)
    user = getpass.getuser()
    rules.write_text(
        f"UAG(me) {{{user}}} ASG(DEFAULT) {{RULE(1, READ) RULE(1, WRITE) {{UAG(me)}}}}"
    )
    options = ("--prefix", "TE:", "--no-echo", "--asg", rules)
    with Ioc(directory, script, *options).ready() as ioc, Client(ioc.port) as client:
        until(lambda: client.get(P + "LOG:COUNT") > 300)
        yield ioc, client


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack(attacked: tuple[Ioc, Client], attack: str) -> None:
    """STOP completes; afterwards START, descriptors and memory are back, the log has few lines."""
    ioc, client = attacked
    ioc.drain()
    said = len(ioc.output)
    watched = Watched(ioc.process.pid)
    used, had = watched.processor(), watched.descriptors()
    with under(attack, ioc.port):
        until(lambda: watched.processor() > used + FELT or watched.descriptors() > had + JOINED)
        assert client.put_callback(P + "STOP") == ECA_NORMAL
        if attack != "20 clients putting":  # which is START
            assert client.get(P + "STATUS") == State.STOPPED
    until(lambda: client.put_callback(P + "START") == ECA_NORMAL)  # when those of others are over
    assert client.get(P + "STATUS") == State.RUNNING
    until(watched.as_before)
    until(lambda: watched.grown() < STRUCTURES)
    lines = [line for line in ioc.drain()[said:].splitlines() if " new=" not in line]
    assert len(lines) <= LINES, lines
    assert not any("Traceback" in line or "fault" in line for line in lines), lines
