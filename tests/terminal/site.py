"""An instrument with scripts in several states, and a person's commands to its IOC."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Self

from benchmarks.rig.ca import ca_environ
from benchmarks.rig.iocs import Ioc, until

PREFIX = "TE:NDW1234:"
CONFIG = """\
prefix = "TE:NDW1234:"

[defaults]
python = "venv/bin/python"

[instance.BGRSCRPT_01]
script = "steps.py"

[instance.BGRSCRPT_02]
script = "bad.py"
start_limit = 1

[instance.BGRSCRPT_03]
script = "hung.py"
heartbeat_timeout = 0.2

[instance.BGRSCRPT_04]
script = "network.py"
backoff = 3000
backoff_max = 3000

[instance.BGRSCRPT_05]
script = "slow.py"

[instance.BGRSCRPT_06]
script = "once.py"
"""
FLEET = """\
[ioc.NDW1234]
prefix = "TE:NDW1234:"
hosts = ["127.0.0.1:{port}"]

[ioc.NDW5678]
prefix = "TE:NDW5678:"
hosts = ["127.0.0.1:{port}"]
"""
SCRIPTS = {
    "steps": """\
import time

import bgrscrpt
from server_common.helpers import register_ioc_start

register_ioc_start("BGRSCRPT_01")
print("IOC started")
print("\\x1b[31mstep 1\\x1b[0m")
bgrscrpt.message("step 1 of 2: waits for beam")
bgrscrpt.progress(50)
while True:
    time.sleep(1000)
""",
    "bad": """\
path = "/instrument/settings/a_name_that_is_long/and_another_one/calibration.json"
open(path)
""",
    "hung": """\
import time

import bgrscrpt

bgrscrpt.alive()
while True:
    time.sleep(1000)
""",
    "network": """\
raise ConnectionError("the file server does not answer")
""",
    "slow": """\
import time

print("IOC started")
try:
    while True:
        time.sleep(1000)
finally:
    time.sleep(1.5)
    print("the magnet is off")
""",
    "once": """\
print("done")
""",
}
LENGTH = len("/data/ndw1234")


class Site:
    """The directory, the IOC, and whoever gives commands there.

    The directory's name has as many characters as `/data/ndw1234`, so that lines wrap where they
    would wrap there.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="", dir="/tmp"))
        assert len(str(self.directory)) == LENGTH
        for name, text in SCRIPTS.items():
            (self.directory / f"{name}.py").write_text(text)
        (self.directory / "venv/bin").mkdir(parents=True)
        (self.directory / "venv/bin/python").symlink_to(sys.executable)
        self.config = self.directory / "instrument.toml"
        self.config.write_text(CONFIG)
        self.ioc = Ioc(self.directory, "--config", self.config)
        (self.directory / "fleet.toml").write_text(FLEET.format(port=self.ioc.port))

    def __enter__(self) -> Self:
        try:
            self.ioc.__enter__().ready()
            for said in ("no heartbeat", "gave up after 1", "starts again in"):
                self.ioc.wait_for(said)
            logs = self.directory / "state/log"
            until(lambda: any("--- Finished" in each.read_text() for each in logs.glob("*_06-*")))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.ioc.__exit__()
        finally:
            shutil.rmtree(self.directory)

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment of a person at this site."""
        return ca_environ(self.ioc.port, XDG_STATE_HOME=str(self.directory), **more)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of `bgrscrpt-ioc ARGUMENTS`."""
        return [str(Path(sys.executable).with_name("bgrscrpt-ioc")), *arguments]
