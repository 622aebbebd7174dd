"""The simulated instrument of the demonstration, as a process of its own, for tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from benchmarks.rig.ca import DEADLINE, Client, ca_environ, free_port
from benchmarks.rig.iocs import until

EXAMPLES = Path(__file__).parents[2] / "scripts_examples"
P = "TE:DEMO:"
INVALID, NO_ALARM = 3, 0


class Instrument:
    """Holds still: what a test puts somewhere stays there."""

    def __init__(self, log: Path) -> None:
        """Start it; it serves when `with` is entered."""
        self.port, self.log = free_port(), log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", EXAMPLES / "demo" / "instrument.py"],
                env=ca_environ(self.port),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        try:
            until(lambda: "serving" in self.log.read_text() or self.process.poll() is not None)
            self.client = Client(self.port)
            self.put("SIM:HOLD", "YES")
            self.put("CS:SB:Temp_Sample", 280)  # it may have moved before
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "client"):
            self.client.kill()
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()

    def put(self, pv: str, value: Any) -> None:
        """Put, and wait until it is done."""
        assert self.client.put_callback(P + pv, value) == 1, f"{pv} = {value}"

    def get(self, pv: str) -> Any:
        """What a PV reads."""
        return self.client.get(P + pv)
