"""The real IOC as a process of its own, as a user starts it; and what is left of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks.rig import where
from benchmarks.rig.ca import DEADLINE, ca_environ, free_port

COMMAND = where.COMMAND
SERVING = "bgrscrpt-ioc: serving "
# One write, because another process may print at the same time.
FOREVER = "import os, time\nos.write(1, b'IOC started\\n')\nwhile True:\n    time.sleep(1000)\n"


class Ioc:
    """`bgrscrpt-ioc run ...` with state, logs and a port of its own."""

    patience = DEADLINE  # s that it may take to say or do what is waited for

    def __init__(
        self,
        directory: Path,
        *arguments: str | Path,
        port: int | None = None,
        environ: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        command: Sequence[str | Path] = (),
    ) -> None:
        """Start it, or the whole `command` given instead; `ready` waits until it serves."""
        self.directory, self.port = directory, port or free_port()
        self.output = ""
        run = where.command("run", "--state-dir", directory / "state", *arguments)
        self.process = subprocess.Popen(
            command or run,
            env=ca_environ(self.port, **(environ or {})),
            stdin=subprocess.PIPE if where.WINDOWS else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            finally:
                self.process.kill()
                self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        if SERVING in self.output:  # else the port may be that of another one
            until(lambda: not survivors(self.port))

    def wait_for(self, text: str) -> str:
        """Wait until it has printed this; all that it has printed."""
        end = time.monotonic() + self.patience
        while text not in self.output:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} in:\n{self.output}"
            assert self._read(left), f"it ended without {text!r}:\n{self.output}"
        return self.output

    def ready(self) -> Self:
        """Wait until it serves."""
        self.wait_for(SERVING)
        return self

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal, on Windows by ^C at its console; its exit code."""
        if where.WINDOWS and by is not signal.SIGKILL:
            assert self.process.stdin is not None
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
        else:
            self.process.send_signal(by)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        end = time.monotonic() + self.patience
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def drain(self) -> str:
        """All that it has printed until now."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0)[0] and self._read(0):
            pass
        return self.output

    def _read(self, timeout: float) -> bool:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        readable, _, _ = select.select([fd], [], [], max(0.0, timeout))
        assert readable, f"silent for {timeout:g} s; said:\n{self.output}"
        data = os.read(fd, 1 << 16)
        self.output += data.decode()
        return bool(data)


def survivors(port: int, name: str = "") -> dict[int, str]:
    """The processes of scripts of the IOC at this port: {pid: cookie}."""
    return {
        pid: cookie
        for pid, cookie in where.runs().items()
        if f"/{port}/" in cookie and f"{name}/" in cookie
    }


def until(condition: Callable[[], Any], timeout: float = DEADLINE) -> Any:
    """Wait for what no event tells: the state of other processes, as an outsider sees it.

    A condition that reads a file does not hold while the file is missing.
    """
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(FileNotFoundError):
            if found := condition():
                return found
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
