"""A process whose output goes into a file, killed at the end of a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self


class LoggedPython:
    """A Python that runs a text."""

    def __init__(
        self, log: Path, text: str, *options: str, environ: Mapping[str, str], cwd: Path
    ) -> None:
        """Start `python OPTIONS -c TEXT` in a directory; its output goes into `log`."""
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *options, "-c", text],
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def output(self) -> str:
        """What the process has printed."""
        return self.log.read_text()
