"""Tries on this machine what an IOC needs: processes, files, locks, sockets.

`check --self` runs it on a machine where nobody has run an IOC yet. It serves no PVs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.files import replace_file
from bgrscrpt_ioc.host.hold import Hold, TakenError
from bgrscrpt_ioc.host.system import Reaper
from bgrscrpt_ioc.lifecycle.events import Sign
from bgrscrpt_ioc.process.messages import Message, Said
from bgrscrpt_ioc.process.order import Order, environment
from bgrscrpt_ioc.process.process import ScriptProcess

PATIENCE = 30.0  # s that one trial may take
SLEEPS = """import sys, time
try:
    sys.stdout.write('up\\n')
    time.sleep(1000)
finally:
    print('finally')
"""
STUBBORN = """import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])
sys.stdout.write('child %d\\n' % child.pid)
time.sleep(1000)
"""
CRASHES = "import faulthandler\nfaulthandler._read_null()\n"
CRASH_NAMES = ("SIGSEGV", "ACCESS_VIOLATION")

Trial = Callable[["Bench"], Awaitable[None]]


class FailedTrialError(Exception):
    """Something does not work here; the text says what was found."""


class _Heard:
    """Records what a run does; a `process.Listener`."""

    behind = False

    def __init__(self) -> None:
        self.text, self.reason, self.is_cleared = "", "", False
        self.messages: list[Message] = []
        self._changed = asyncio.Event()

    def output(self, data: bytes) -> None:
        """Record output."""
        self.text += data.decode("utf-8", "backslashreplace")
        self._changed.set()

    def said(self, message: Message) -> None:
        """Record a message."""
        self.messages.append(message)

    def exited(self, code: int, reason: str, survivors: int) -> None:  # noqa: ARG002 - Listener's
        """Record how the script's process ended."""
        self.reason, self.is_cleared = reason, not survivors
        self._changed.set()

    def cleared(self) -> None:
        """Record that no process lives."""
        self.is_cleared = True
        self._changed.set()

    async def until(self, good: Callable[[], object]) -> None:
        """Wait until a condition is true."""
        while not good():
            self._changed.clear()
            await self._changed.wait()


class Bench:
    """A directory and a reaper for the trials."""

    def __init__(self, directory: Path, reaper: Reaper) -> None:
        self.directory, self._reaper = directory, reaper

    @contextlib.asynccontextmanager
    async def run(self, text: str) -> AsyncIterator[tuple[ScriptProcess, _Heard]]:
        """Run a script; none of its processes lives afterwards."""
        script = self.directory / "my script.py"
        script.write_text(text, encoding="utf-8")
        cookie = f"{system.own_id()}/self/1"
        environ = environment(os.environ, {}, prefix="", name="SELF", cookie=cookie)
        heard = _Heard()
        order = Order(script, sys.executable, self.directory, environ=environ, cookie=cookie)
        process = ScriptProcess(order, self._reaper, heard)
        try:
            yield process, heard
        finally:
            if not heard.is_cleared:
                process.send(Sign.KILL)
                await heard.until(lambda: heard.is_cleared)


def _expect(found: object, expected: object) -> None:
    if found != expected:
        raise FailedTrialError(f"expected {expected!r}, found {found!r}")


async def _text(bench: Bench) -> None:
    text = "import bgrscrpt\nbgrscrpt.message('it speaks')\nprint('\u00e9\u4e2d')\n"
    async with bench.run(text) as (_, heard):
        await heard.until(lambda: heard.is_cleared)
        _expect((heard.text, heard.reason), ("\u00e9\u4e2d\n", "exit 0"))
        _expect(heard.messages[-1], Said("it speaks"))


async def _stop(bench: Bench) -> None:
    async with bench.run(SLEEPS) as (process, heard):
        await heard.until(lambda: "up" in heard.text)
        process.send(Sign.INTERRUPT)
        await heard.until(lambda: heard.is_cleared)
        _expect(heard.reason, "SIGINT")
        _expect(heard.text.splitlines()[1], "finally")


async def _kill(bench: Bench) -> None:
    async with bench.run(STUBBORN) as (process, heard):
        await heard.until(lambda: "\n" in heard.text)
        child = int(heard.text.split()[1])
        _expect(child in process.tree(), True)
        process.send(Sign.INTERRUPT)
        process.send(Sign.KILL)
        await heard.until(lambda: heard.is_cleared)
        _expect(heard.reason, "SIGKILL (did not stop)")
        _expect(child in system.processes(), False)


async def _crash(bench: Bench) -> None:
    async with bench.run(CRASHES) as (_, heard):
        await heard.until(lambda: heard.is_cleared)
        if not heard.reason.startswith(CRASH_NAMES):
            raise FailedTrialError(f"its end is told as {heard.reason!r}")
        _expect("line 2 in <module>" in heard.text, True)


async def _replace(bench: Bench) -> None:
    path = bench.directory / "kept.json"
    path.write_bytes(b"old")
    reader = path.open("rb")
    threading.Timer(0.2, reader.close).start()
    replace_file(path, b"new")
    _expect(path.read_bytes(), b"new")


async def _hold(bench: Bench) -> None:
    first, second = Hold(), Hold()
    key = f"{os.getpid()}/SELF"
    try:
        first.take(key, bench.directory / "a.lock")
        for other, lock in ((key, "b.lock"), (f"{key}2", "a.lock")):
            try:
                second.take(other, bench.directory / lock)
            except TakenError:
                continue
            raise FailedTrialError(f"a second IOC gets {other} with {lock}")
    finally:
        first.release()
        second.release()


async def _sockets(_: Bench) -> None:
    loop = asyncio.get_running_loop()
    listening = system.listening_socket(("127.0.0.1", 0), 1)
    with listening, system.datagram_socket() as sender:
        address = listening.getsockname()
        try:
            system.listening_socket(address, 1).close()
        except OSError as error:
            _expect(error.errno in system.TAKEN, True)
        else:
            raise FailedTrialError("two servers listen at one TCP port")
        with system.shared_datagram_socket(address), system.shared_datagram_socket(address) as udp:
            sender.sendto(b"search", udp.getsockname())
            reader, writer = await asyncio.gather(
                loop.sock_accept(listening), asyncio.open_connection(*address)
            )
            writer[1].close()
            reader[0].close()


TRIALS: dict[str, Trial] = {
    "a script runs, prints UTF-8 and sends messages": _text,
    "a stop wakes a sleeping script, and its `finally:` runs": _stop,
    "a script that does not stop is killed with its children": _kill,
    "a crash is told by its name": _crash,
    "a file is replaced while somebody reads it": _replace,
    "an instance is served once on this host": _hold,
    "clients can search and connect": _sockets,
}


async def trials() -> AsyncIterator[tuple[str, str]]:
    """Yield the name of each trial, and what is wrong ("" if nothing is)."""
    reaper = Reaper()
    reaper.start()
    try:
        for title, trial in TRIALS.items():
            with tempfile.TemporaryDirectory(prefix="bgrscrpt-") as directory:
                yield title, await _problem(trial, Bench(Path(directory), reaper))
    finally:
        reaper.stop()


async def _problem(trial: Trial, bench: Bench) -> str:
    try:
        async with asyncio.timeout(PATIENCE):
            await trial(bench)
    except TimeoutError:
        return f"not done within {PATIENCE:g} s"
    except Exception as error:  # noqa: BLE001 - whatever a new system raises is its answer
        return f"{type(error).__name__}: {error}"
    return ""
