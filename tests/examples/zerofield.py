"""ZFMAGFLD_01 as an instrument has it: a real IOC under the real procServ, and what commands it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from benchmarks.rig.ca import DEADLINE, ca_environ, free_port

SCRIPTS = Path(__file__).parents[2] / "scripts_examples"
DOCUMENTATION = Path(__file__).parent / "documentation"
COMMAND = (sys.executable, "-W", "error")


class ZeroField:
    """Three ports, of which the third is for the IOC with the background script."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.log, self.prefix = directory / "procserv.log", prefix
        self.ioc, self.control, self.port, self.console = (free_port() for _ in range(4))
        self._stack = ExitStack()

    @property
    def addresses(self) -> dict[str, str]:
        """What finds them all, and nothing else."""
        ports = (self.ioc, self.control, self.port)
        return {"EPICS_CA_ADDR_LIST": " ".join(f"127.0.0.1:{port}" for port in ports)}

    def start(self, *options: str) -> None:
        """Start procServ with the IOC, and its control."""
        server = ["procServ", "--foreground", "--quiet", "--noautorestart", "--holdoff", "1"]
        server += ["--logfile", str(self.log), str(self.console), *COMMAND]
        served = ["--prefix", self.prefix, "--port"]
        self.launch([*server, str(SCRIPTS / "demo/zfmagfld.py"), *served, str(self.ioc), *options])
        control = [*COMMAND, str(SCRIPTS / "demo/procserv_control.py"), *served, str(self.control)]
        self.launch([*control, f"ZFMAGFLD_01={self.console}"])

    def launch(self, command: list[str], output: IO[bytes] | int = subprocess.DEVNULL) -> None:
        """Start a program in the root of the repository; it is ended at the end."""
        process = subprocess.Popen(
            command,
            env=self.environ,
            cwd=SCRIPTS.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._stack.callback(_end, process)

    @property
    def environ(self) -> dict[str, str]:
        """An environment in which all of them meet."""
        return ca_environ(self.port, **self.addresses)

    @property
    def starts(self) -> int:
        """How often procServ has started the IOC, and it served."""
        return self.log.read_text().count("ZFMAGFLD_01: serving ") if self.log.exists() else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """By SIGTERM: procServ kills its child then."""
    process.terminate()
    try:
        assert process.wait(DEADLINE) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
