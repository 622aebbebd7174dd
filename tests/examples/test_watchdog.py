"""The watchdog under our IOC, with a real second IOC to restart, as a client over libca sees it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from general.utilities.restart_ioc_when_pv_in_alarm import restart_ioc_when_pv_in_alarm

from benchmarks.rig.ca import ECA_NORMAL, STRING, Client, Monitor, ca_environ
from benchmarks.rig.iocs import Ioc, until
from benchmarks.rig.where import native
from tests.examples.zerofield import DOCUMENTATION, SCRIPTS, ZeroField
from tests.process import genie as genie_python

pytestmark = pytest.mark.timeout(600)  # the documentation's script looks every 10 s
PATIENCE = 240.0  # s
BLOCK, BAD, INVALID = "field_ZF_status", "No new magnetometer data", 3
STATUS = "CS:PS:ZFMAGFLD_01:STATUS"
SCRIPT = f"""
from time import sleep
from general.utilities.restart_ioc_when_pv_in_alarm import restart_ioc_when_pv_in_alarm
restart_ioc_when_pv_in_alarm("{BLOCK}", ["ZFMAGFLD_01"], %s)
while True:
    sleep(10)
"""
# Which prefix `g.set_instrument(None)` gives: it is made of the host's name.
ASK_PREFIX = """
from genie_python import genie as g
g.set_instrument(None, import_instrument_init=False)
print(g.prefix_pv_name(""), g.adv.get_instrument())
"""


@pytest.fixture
def zero_field(tmp_path: Path) -> Iterator[ZeroField]:
    """To be started."""
    if shutil.which("procServ") is None:
        pytest.skip("procServ is not installed: sudo apt-get install procserv")
    with ZeroField(tmp_path, "TE:WATCH:") as zero_field:
        yield zero_field


class Instrument:
    """The IOC with the script, and a client that watches it and the second IOC."""

    def __init__(self, zero_field: ZeroField, client: Client) -> None:
        self.client, self._prefix = client, zero_field.prefix
        self._message = self.monitor("BGRSCRPT_01:MESSAGE")

    def monitor(self, name: str) -> Monitor:
        return self.client.monitor(self._prefix + name)

    def messages(self) -> list[str]:
        """What MESSAGE has shown, in order; of one character pyepics makes no array: empty."""
        texts = [each for each in self._message.values if isinstance(each, list)]
        return [bytes(each).partition(b"\0")[0].decode() for each in texts]

    def until_message(self, text: str) -> None:
        """Wait until MESSAGE begins so."""
        self.client.wait_for(
            lambda: any(each.startswith(text) for each in self.messages()), PATIENCE
        )


@pytest.fixture
def genie() -> tuple[str, str]:
    """The prefix of this host's instrument, and its name, as genie_python has them."""
    if not genie_python.IS_THERE:
        pytest.skip(genie_python.MISSING)
    told = subprocess.run(
        [genie_python.PYTHON, "-c", ASK_PREFIX],
        env=ca_environ(9),  # nobody is there
        capture_output=True,
        text=True,
        check=True,
    )
    prefix, name = told.stdout.splitlines()[-1].split()
    return prefix, name


@contextlib.contextmanager
def watching(
    zero_field: ZeroField, directory: Path, script: Path, *options: str
) -> Iterator[Instrument]:
    """Our IOC runs the script, and a client looks on."""
    given = ("--prefix", zero_field.prefix, "--python-path", native(SCRIPTS))
    with (
        Ioc(
            directory,
            script,
            *given,
            *("--heartbeat-timeout", "60"),
            *options,
            port=zero_field.port,
            environ=zero_field.addresses,
        ) as ioc,
        Client(zero_field.port, **zero_field.addresses) as client,
    ):
        ioc.ready()
        yield Instrument(zero_field, client)


def watch_a_restart(zero_field: ZeroField, directory: Path, script: Path, *options: str) -> str:
    """The whole story, until the IOC is well again; the script's output."""
    zero_field.start()
    prefix = zero_field.prefix
    with watching(zero_field, directory, script, *options) as instrument:
        client = instrument.client
        block, status = instrument.monitor(f"CS:SB:{BLOCK}"), instrument.monitor(STATUS)
        instrument.until_message(f"{BLOCK} is 'OK'")
        assert client.put(f"{prefix}ZFMAGFLD_01:SIM:FAIL", 1) == ECA_NORMAL
        instrument.until_message("ZFMAGFLD_01 back online")
        client.wait_for(lambda: block.values and block.values[-1] == 0)
        told = instrument.messages()
        assert told == [
            f"{BLOCK} is 'OK'",
            f"{BLOCK} is '{BAD}' (INVALID): restarting ZFMAGFLD_01, 1 of 5",
            f"ZFMAGFLD_01 back online after 1 restart: {BLOCK} is 'OK'",
        ]
        seen = [(each["value"], each["severity"]) for each in block.events]
        assert seen == [(0, 0), (1, INVALID), (0, 0)]
        assert status.values[-2:] == [1, 0]  # Shutdown, Running
        assert client.get(prefix + "BGRSCRPT_01:STATUS", STRING) == "Running"
        assert client.get(prefix + "BGRSCRPT_01:HEARTBEAT") > 2
        assert zero_field.starts == 2
        return client.text(prefix + "BGRSCRPT_01:LOG")


def events(log: str) -> int:
    """The watchdog's own lines: libca and genie_python print some of theirs."""
    return sum("ZFMAGFLD_01" in line or BLOCK in line for line in log.splitlines())


def test_with_nothing_but_this_project(zero_field: ZeroField, tmp_path: Path) -> None:
    """Our own script, by pyepics: the IOC fails, is restarted, is well; a line for each event."""
    log = watch_a_restart(zero_field, tmp_path, SCRIPTS / "watchdog.py")
    assert events(log) == 3, log


def test_the_documentations_script(
    zero_field: ZeroField, tmp_path: Path, genie: tuple[str, str]
) -> None:
    """The documentation's third script, word for word, by genie_python: the same story."""
    zero_field.prefix, name = genie
    inits = tmp_path / "inits"
    inits.mkdir()
    (inits / f"init_{name.lower()}.py").write_text("def init(inst):\n    pass\n")
    script = DOCUMENTATION / "restart_ioc.py"
    options = (*genie_python.OPTIONS, "--python-path", native(inits))
    log = watch_a_restart(zero_field, tmp_path, script, *options)
    assert events(log) == 3, log
    assert "Traceback" not in log


def test_it_gives_up(zero_field: ZeroField, tmp_path: Path) -> None:
    """An IOC that no restart mends: after the limit an alarm in MESSAGE, and no further restart."""
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT % "[], 4, 0.2, severities=['INVALID'], max_restarts=2"
    )  # by severity alone
    zero_field.start("--fail-after", "0")
    with watching(zero_field, tmp_path, script) as instrument:
        instrument.until_message("ALARM: ")
        (alarm,) = (each for each in instrument.messages() if each.startswith("ALARM: "))
        assert alarm.startswith(f"ALARM: {BLOCK} is ")  # in error, or not yet connected again
        assert alarm.endswith(" after 2 restarts of ZFMAGFLD_01: gave up, somebody has to look")
        until(lambda: zero_field.starts == 3)  # the last may still be starting


def test_a_block_that_comes_later(zero_field: ZeroField, tmp_path: Path) -> None:
    """It says once that there is no such block, and finds it when there is."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT % f"['{BAD}'], wait_for_polling=0.2")
    with watching(zero_field, tmp_path, script) as instrument:
        instrument.until_message(f"{BLOCK}: no such block, or not connected")
        beat = f"{zero_field.prefix}BGRSCRPT_01:HEARTBEAT"
        beats = instrument.client.get(beat)
        until(lambda: instrument.client.get(beat) > beats + 3)
        zero_field.start()
        instrument.until_message(f"{BLOCK} is 'OK'")
        told = instrument.messages()
        assert told == [f"{BLOCK}: no such block, or not connected", f"{BLOCK} is 'OK'"]


def test_what_commands_the_ioc(zero_field: ZeroField) -> None:
    """The demo's stand-in for procServControl: each put ends when procServ has done it."""
    zero_field.start()
    control = f"{zero_field.prefix}CS:PS:ZFMAGFLD_01:"
    with Client(zero_field.port, **zero_field.addresses) as client:

        def reads() -> tuple[str, str]:
            return client.get(control + "STATUS", STRING), client.get(
                control + "AUTORESTART", STRING
            )

        until(lambda: reads() == ("Running", "Off"))  # as procServ was started
        for command, reached in (
            ("TOGGLE", ("Running", "On")),
            ("STOP", ("Shutdown", "Off")),
            ("START", ("Running", "Off")),
            ("RESTART", ("Running", "On")),
            ("STOP", ("Shutdown", "Off")),
            ("RESTART", ("Running", "On")),
        ):
            assert client.put_callback(control + command) == ECA_NORMAL, command
            assert reads() == reached, command
        assert "Restarting child" in client.text(control + "IOCOUT")


BY_HAND = """
from general.utilities.restart_ioc_when_pv_in_alarm import restart_ioc_when_pv_in_alarm
watchdog = restart_ioc_when_pv_in_alarm("nothing", ["NO_IOC"], ["bad"])
watchdog.stop()
watchdog.join(60)
print("ended:", not watchdog.is_alive(), watchdog.restarts)
"""


def test_by_hand(tmp_path: Path) -> None:
    """It runs without the IOC and its `bgrscrpt` too, and `stop()` ends it."""
    script = tmp_path / "script.py"
    script.write_text(BY_HAND)
    told = subprocess.run(
        [sys.executable, script],
        env={**ca_environ(9), "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines()[-1] == "ended: True 0"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"iocs_to_restart": "ZFMAGFLD_01"}, r"make it a list, \['ZFMAGFLD_01'\]"),
        ({"iocs_to_restart": []}, "name at least one IOC"),
        ({"error_states": "bad"}, r"make it a list, \['bad'\]"),
        ({"error_states": []}, "name what is an error"),
        ({"severities": ["BAD"]}, r"\['BAD'\] are none of \('MINOR', 'MAJOR', 'INVALID'\)"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], said: str) -> None:
    """A call that could watch or restart nothing fails at once, and says how to mend it."""
    call = {"iocs_to_restart": ["ZFMAGFLD_01"], "error_states": ["bad"], **given}
    with pytest.raises(ValueError, match=said):
        restart_ioc_when_pv_in_alarm(BLOCK, **call)
