"""Compiles a script with its own interpreter, and runs nothing of it."""

from __future__ import annotations

import asyncio
import os

from bgrscrpt_ioc import posix
from bgrscrpt_ioc.config.settings import InstanceSettings, IocSettings
from bgrscrpt_ioc.events import Sign
from bgrscrpt_ioc.launch import Launch, launch
from bgrscrpt_ioc.messages import Message, ScriptFailed
from bgrscrpt_ioc.permissions import refusal
from bgrscrpt_ioc.posix import Reaper
from bgrscrpt_ioc.process import ScriptProcess
from bgrscrpt_ioc.spawn import SpawnError

TIMEOUT = 30.0  # s: an interpreter on a network disk may be slow, a hung one must not hang a put
LINE = 500  # bytes of what an interpreter says that cannot say it our way


class _Verdict:
    """Listens to a check."""

    def __init__(self) -> None:
        self.problem = asyncio.get_running_loop().create_future()
        self._failure = ""
        self._output = b""

    behind = False

    def output(self, data: bytes) -> None:
        self._output = (self._output + data)[-LINE:]

    def said(self, message: Message) -> None:
        if isinstance(message, ScriptFailed):
            self._failure = message.error

    def exited(self, code: int, reason: str, survivors: int) -> None:
        del survivors  # none of a script's code has run, so there can be none of its making
        if code != 0 and not self._failure:
            last = self._output.decode("utf-8", "replace").strip().rpartition("\n")[2]
            self._failure = f"{reason}: {last}" if last else reason
        if not self.problem.done():
            self.problem.set_result(self._failure)

    def cleared(self) -> None:
        pass


async def check_script(launch: Launch, reaper: Reaper) -> str:
    """Say in one line what keeps the script from running, or nothing: it compiles."""
    verdict = _Verdict()
    try:
        process = ScriptProcess(launch, reaper, verdict, mode="check")
    except SpawnError as error:
        return str(error)
    try:
        async with asyncio.timeout(TIMEOUT):
            return await asyncio.shield(verdict.problem)
    except TimeoutError:
        process.send(Sign.KILL)
        await verdict.problem
        return f"{launch.python} did not compile it within {TIMEOUT:g} s"
    except asyncio.CancelledError:
        process.send(Sign.KILL)
        raise


def check(settings: IocSettings) -> list[str]:
    """Check all scripts from outside an IOC; a line `NAME: script: problem` for each bad one."""

    async def problems() -> list[str]:
        reaper = Reaper()
        reaper.start()
        found = [(one, await problem(one, reaper)) for one in settings.instances]
        reaper.stop()
        return [f"{one.name}: {one.script}: {problem}" for one, problem in found if problem]

    async def problem(one: InstanceSettings, reaper: Reaper) -> str:
        refused = refusal(one.script) if settings.strict else ""
        return refused or await check_script(order(one), reaper)

    def order(one: InstanceSettings) -> Launch:
        return launch(one, os.environ, prefix=settings.prefix, cookie=f"{posix.own_id()}/check")

    return asyncio.run(problems())
