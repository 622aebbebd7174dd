"""The simulated instrument, seen by libca and by the real genie_python."""

from __future__ import annotations

import json
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.rig.ca import ca_environ
from benchmarks.rig.iocs import until
from tests.examples.instrument import EXAMPLES, INVALID, NO_ALARM, Instrument, P
from tests.process import genie

GENIE = """
import sys
from genie_python import genie as g
g.set_instrument(None)
g.cset("temp_sp", 301.5)
print([g.prefix_pv_name(""), g.get_runnumber(), g.get_runstate(), g.get_rb()])
print([g.cget("Temp_SP")["value"], g.cget("Temp_Sample")["unit"]])
g.set_pv("CS:PS:ISISDAE_01:RESTART", 1, wait=True, is_local=True)
print("restarted", g.get_pv("CS:PS:ISISDAE_01:STATUS", is_local=True))
"""


@pytest.fixture
def instrument(tmp_path: Path) -> Iterator[Instrument]:
    """An instrument that holds still."""
    with Instrument(tmp_path / "instrument.log") as started:
        yield started


def test_blocks_answer_to_both_spellings(instrument: Instrument) -> None:
    """A block is one PV under its name as written and in capitals, with fields and run control."""
    instrument.put("CS:SB:TEMP_SAMPLE", 12.5)
    assert instrument.get("CS:SB:Temp_Sample") == 12.5
    assert instrument.get("CS:SB:Temp_Sample.VAL") == 12.5
    assert instrument.get("CS:SB:TEMP_SAMPLE.EGU") == "K"
    for name, value in (("RC:ENABLE", 0), ("RC:INRANGE", 1)):
        assert instrument.get(f"CS:SB:Temp_Sample:{name}") == value


def test_a_block_in_alarm(instrument: Instrument) -> None:
    """Its severity is seen in the monitor and in the field, and goes again."""
    monitor = instrument.client.monitor(f"{P}CS:SB:Temp_Sample")
    for count, severity in ((2, INVALID), (3, NO_ALARM)):
        instrument.put("SIM:Temp_Sample:SEVR", severity)
        monitor.wait_for_events(count)
        assert instrument.get("CS:SB:TEMP_SAMPLE.SEVR") == severity
        assert instrument.client.read(f"{P}CS:SB:Temp_Sample", 20)["severity"] == severity


def test_a_block_in_alarm_that_moves(instrument: Instrument) -> None:
    """What is INVALID stays so while its value changes, by itself and by a client's put."""
    instrument.put("SIM:Temp_Sample:SEVR", INVALID)
    monitor = instrument.client.monitor(f"{P}CS:SB:Temp_Sample")
    instrument.put("CS:SB:Temp_Sample", 270)
    instrument.put("CS:SB:Temp_SP", 400)
    instrument.put("SIM:HOLD", "NO")
    until(lambda: instrument.get("CS:SB:Temp_Sample") > 300)
    assert {each["severity"] for each in monitor.events} == {INVALID}
    assert instrument.client.read(f"{P}CS:SB:Temp_Sample", 20)["severity"] == INVALID


def test_a_block_that_is_removed(instrument: Instrument) -> None:
    """It disconnects, leaves the list of blocks, and can come back."""
    names = f"{P}CS:BLOCKSERVER:BLOCKNAMES"
    assert instrument.get("CS:SB:Temp_Sample") > 0

    def blocks() -> list[str]:
        return json.loads(zlib.decompress(bytes.fromhex(instrument.client.text(names))))

    instrument.put("SIM:Temp_Sample:PRESENT", "NO")
    assert blocks() == ["Temp_SP"]
    with pytest.raises(RuntimeError):
        instrument.client.connect(f"{P}CS:SB:Temp_Sample.DESC", timeout=1.0)
    instrument.put("SIM:Temp_Sample:PRESENT", "YES")
    assert sorted(blocks()) == ["Temp_SP", "Temp_Sample"]
    until(lambda: instrument.get("CS:SB:Temp_Sample") > 0)


def test_a_new_run(instrument: Instrument) -> None:
    """BEGIN counts the run number and the state is RUNNING; END leaves it in SETUP."""
    instrument.put("DAE:ENDRUN", 1)
    assert instrument.client.get(f"{P}DAE:RUNSTATE", 0) == "SETUP"
    instrument.put("DAE:BEGINRUNEX", 1)
    assert instrument.get("DAE:RUNNUMBER") == "00012346"
    assert instrument.client.get(f"{P}DAE:RUNSTATE", 0) == "RUNNING"


def test_genie_python_works_on_it(instrument: Instrument, tmp_path: Path) -> None:
    """It is found by set_instrument(None), which calls its init; cget and cset work."""
    if not genie.IS_THERE:
        pytest.skip(genie.MISSING)
    environ = ca_environ(instrument.port, PYTHONPATH=str(EXAMPLES / "demo"), HOME=str(tmp_path))
    environ["MPLCONFIGDIR"] = str(tmp_path)
    done = subprocess.run(
        [genie.PYTHON, "-c", GENIE],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "['TE:DEMO:', '00012345', 'RUNNING', '2610001']" in done.stdout
    assert "[301.5, 'K']" in done.stdout
    assert "restarted Shutdown" in done.stdout
    # The init's open_plot_window neither fails nor hangs where there is no IBEX.
    assert "Failed to open plot in IBEX" in done.stdout
