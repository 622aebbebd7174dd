"""Runs scripts as the IOC does and as a user does by hand, and finds the interpreters there are."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.host.system import Reaper, processes
from bgrscrpt_ioc.lifecycle.events import Sign
from bgrscrpt_ioc.process.messages import CheckedAhead, Message, Prepared, ScriptFailed
from bgrscrpt_ioc.process.order import Mode, Order, environment
from bgrscrpt_ioc.process.process import CHECK, ScriptProcess

DEADLINE = 240.0 if sys.platform == "win32" else 120.0  # s; Wine makes a busy machine busier
NUMBERS = count(1)
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
# Leaves a process that has neither session nor console nor parent in common with the script.
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(1, b"daemon %d\\n" % os.getpid())  # at once: another process prints, too
        time.sleep(1000)
    os._exit(0)
os.wait()
"""
if sys.platform == "win32":
    DAEMON = """
import subprocess, sys, time
daemon = "import os, time; os.write(1, b'daemon %d\\\\n' % os.getpid()); time.sleep(1000)"
flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
subprocess.Popen([sys.executable, "-c", daemon], stdout=sys.stdout, creationflags=flags)
"""


@dataclass
class Heard:
    """Records what a run does; a `process.Listener`."""

    behind: bool = False
    pieces: list[bytes] = field(default_factory=list)  # of its output
    messages: list[Message] = field(default_factory=list)
    code: int | None = None
    reason: str = ""
    survivors: int = 0
    is_cleared: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def output(self, data: bytes) -> None:
        self.pieces.append(data)
        self.changed.set()

    @property
    def text(self) -> bytes:
        """Return its output. Joined only when it is looked at: a million lines are 10 MB."""
        self.pieces = [b"".join(self.pieces)]
        return self.pieces[0]

    def said(self, message: Message) -> None:
        self.messages.append(message)
        self.changed.set()

    def exited(self, code: int, reason: str, survivors: int) -> None:
        self.code, self.reason, self.survivors = code, reason, survivors
        self.is_cleared = not survivors
        self.changed.set()

    def cleared(self) -> None:
        self.is_cleared = True
        self.changed.set()

    async def until(self, name: str) -> None:
        """Wait until this property is true."""
        async with asyncio.timeout(DEADLINE):
            while not getattr(self, name):
                self.changed.clear()
                await self.changed.wait()

    @property
    def has_exited(self) -> bool:
        return self.code is not None

    def has_printed(self, text: bytes) -> bool:
        return text in self.text

    async def until_printed(self, text: bytes) -> None:
        """Wait until the script has printed this."""
        async with asyncio.timeout(DEADLINE):
            while text not in self.text:
                self.changed.clear()
                await self.changed.wait()

    async def until_heard(self, kind: type[Message], number: int) -> None:
        """Wait until so many messages of this kind have come."""
        async with asyncio.timeout(DEADLINE):
            while sum(isinstance(each, kind) for each in self.messages) < number:
                self.changed.clear()
                await self.changed.wait()

    @property
    def failure(self) -> ScriptFailed | None:
        """Return what the script said of its own end."""
        found = [each for each in self.messages if isinstance(each, ScriptFailed)]
        assert len(found) <= 1, found
        return found[0] if found else None


class Runner:
    """Launches scripts on a reaper of its own. What they leave is killed at the end."""

    def __init__(self) -> None:
        self.reaper = Reaper()
        self.reaper.start()
        self._running: list[tuple[ScriptProcess, Heard]] = []

    def launch(
        self,
        script: Path,
        python: str = sys.executable,
        *args: str,
        mode: Mode = "run",
        **more: Any,
    ) -> tuple[ScriptProcess, Heard]:
        """Launch a script as the IOC does."""
        order = self.order(script, python, *args, **more)
        heard = Heard()
        process = ScriptProcess(order, self.reaper, heard, mode)
        self._running.append((process, heard))
        return process, heard

    def order(
        self,
        script: Path,
        python: str = sys.executable,
        *args: str,
        env: dict[str, str] | None = None,
        search_path: tuple[str, ...] = (),
        cwd: Path | None = None,
        preload: tuple[str, ...] = (),
        path_map: dict[str, str] | None = None,
        stop_signal: str = "SIGINT",
    ) -> Order:
        """Return the order for an interpreter."""
        cookie = f"test{os.getpid()}/{script.name}/{next(NUMBERS)}"
        environ = environment(CLEAN, env or {}, prefix="TE:", name="BGRSCRPT_01", cookie=cookie)
        at = cwd or script.parent
        return Order(
            script,
            python,
            at,
            args,
            search_path,
            environ,
            cookie,
            preload,
            path_map=path_map or {},
            name="BGRSCRPT_01",
            stop_signal=stop_signal,
        )

    async def run_after_a_check(
        self, script: Path, preload: tuple[str, ...] = (), python: str = sys.executable, **more: Any
    ) -> Heard:
        """Run a script in the interpreter that has checked it, with these modules imported."""
        process, waiting = self.launch(script, python, mode="standby", preload=preload, **more)
        process.tell(CHECK)
        kinds = {CheckedAhead, Prepared} if preload else {CheckedAhead}
        async with asyncio.timeout(DEADLINE):
            while not kinds <= {type(each) for each in waiting.messages}:
                waiting.changed.clear()
                await waiting.changed.wait()
        return await self.go(process)

    async def go(self, process: ScriptProcess) -> Heard:
        """Let an interpreter in standby run its script, until none of its processes lives."""
        heard = Heard()
        self._running = [(each, heard if each is process else by) for each, by in self._running]
        process.go(heard)
        await self.end(process, heard)
        return heard

    async def run(self, script: Path, python: str = sys.executable, *args: str, **more) -> Heard:
        """Run a script until none of its processes lives."""
        process, heard = self.launch(script, python, *args, **more)
        await self.end(process, heard)
        return heard

    async def end(self, process: ScriptProcess, heard: Heard) -> None:
        """Wait until none of its processes lives."""
        await heard.until("has_exited")
        if heard.survivors:
            process.send(Sign.KILL)
            await heard.until("is_cleared")

    async def close(self) -> None:
        """Kill all that is left."""
        for process, heard in self._running:
            if not heard.is_cleared:
                process.send(Sign.KILL)
                await heard.until("is_cleared")
        self.reaper.stop()


def by_hand(script: Path, python: str = sys.executable, *args: str) -> tuple[bytes, int]:
    """Run a script as `python -u script.py`; return its output and exit code."""
    environ = environment(CLEAN, {}, prefix="TE:", name="BGRSCRPT_01", cookie="by hand")
    environ |= {"PYTHONIOENCODING": "utf-8"} if sys.platform == "win32" else {}
    done = subprocess.run(
        [python, "-u", str(script), *args],
        env=environ,
        cwd=script.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )
    if sys.platform == "win32":  # where the IOC has a script print what it prints elsewhere
        return done.stdout.replace(b"\r\n", b"\n"), done.returncode
    return done.stdout, done.returncode


@cache
def interpreters() -> dict[tuple[int, int], str]:
    """Return one interpreter of each version of Python 3 on this machine: {(3, 11): path}."""
    found = {sys.version_info[:2]: sys.executable}
    for path in candidates():
        with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
            told = subprocess.run(
                [path, "-c", "import sys; print(*sys.version_info[:2], sys.executable)"],
                capture_output=True,
                timeout=10,
                check=False,
            )
            if told.returncode == 0:
                major, minor, executable = told.stdout.decode().split(maxsplit=2)
                found.setdefault((int(major), int(minor)), executable.strip())
    return dict(sorted((version, path) for version, path in found.items() if version >= (3, 4)))


def candidates() -> Iterator[Path]:
    """Return the interpreters in PATH and in pyenv; on Windows none."""
    if sys.platform == "win32":
        return
    for directory in os.environ["PATH"].split(os.pathsep):
        yield from Path(directory).glob("python3.[0-9]*")
    yield from Path.home().glob(".pyenv/versions/*/bin/python")


def alive(pid: int) -> bool:
    """Return whether a process lives."""
    return pid in processes()
