"""An IOC whose script does what a test tells it, by a PV of the script's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.rig.ca import ECA_NORMAL, Client
from benchmarks.rig.iocs import Ioc, until

P = "TE:BGRSCRPT_01:"
SCRIPT = """
import bgrscrpt, os, sys, threading, time
def do(text):
    exec(text, globals())
{begin}
bgrscrpt.pv("DO", "", writable=True, on_put=do)
print("ready", flush=True)
while True:
    time.sleep(1000)
"""


class Scripted:
    """An IOC, a client, and a script that executes what is put to its PV `DO`."""

    def __init__(
        self,
        directory: Path,
        begin: str = "",
        *options: str | Path,
        environ: dict[str, str] | None = None,
    ) -> None:
        """Start it; the script does `begin` first."""
        self.script = directory / "script.py"
        self.write(begin)
        self.ioc = Ioc(directory, self.script, "--prefix", "TE:", *options, environ=environ)

    def write(self, begin: str) -> None:
        """Write the script, whose next run does `begin` first."""
        self.script.write_text(SCRIPT.format(begin=begin))

    def __enter__(self) -> Self:
        self.ioc.ready()
        self.client = Client(self.ioc.port)
        self.client.connect(P + "DO")
        return self

    def __exit__(self, *error: object) -> None:
        self.client.kill()
        if error[0] is not None:
            print(self.ioc.drain())
        self.ioc.__exit__(*error)

    def do(self, text: str) -> int:
        """Have the script execute this; return the status of the put when it is done."""
        return self.client.put_callback(P + "DO", [*text.encode(), 0])

    def done(self, text: str) -> None:
        """Have the script execute this, and see that it did."""
        assert self.do(text) == ECA_NORMAL, text

    def restart(self) -> None:
        """Restart the script; return when it runs, and its PVs are made."""
        assert self.client.put_callback(P + "RESTART") == ECA_NORMAL
        until(lambda: self.do("pass") == ECA_NORMAL)

    def get(self, name: str, kind: int | None = None) -> Any:
        """Read a PV of the script."""
        return self.client.read(P + name, kind)

    def alarm(self, name: str) -> Sequence[int]:
        """Return the alarm severity and status of a PV."""
        read = self.client.read(P + name, 14)
        return read["severity"], read["status"]
