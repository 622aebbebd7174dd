"""Runs the commands of the setting `notify` that tell people what happens to an instance.

They run beside all else, and not often. A command that fails or hangs costs a line in the log.
Nothing waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.host.contract import COOKIE
from bgrscrpt_ioc.host.faults import FAULT
from bgrscrpt_ioc.host.system import Reaper, run_tool
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.output.output import Output
from bgrscrpt_ioc.script.background import Background
from bgrscrpt_ioc.script.notices import COMMANDS, Notice, event_of
from bgrscrpt_ioc.script.paced import Paced
from bgrscrpt_ioc.script.story import Happening, RunBegan

EVERY = 60.0  # s between two notices of an instance
LIMIT = 30.0  # s that a command may take
LAST = 200  # characters of the end of a failed command's output that are shown

log = logging.getLogger("bgrscrpt_ioc.notify")


class Announcer:
    """The notices of one instance; a `witness.Follower`."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        about: Notice,
        *,
        reaper: Reaper,
        worker: Worker,
        output: Output,
        every: float = EVERY,
        limit: float = LIMIT,
    ) -> None:
        """Prepare; nothing has been told yet.

        Args:
            commands: the commands of `notify`, by their keys.
            about: names the instance; each notice is made from it.
            reaper: hears of the end of each command.
            worker: looks for the programs, because their disk may hang.
            output: the log file in which a failure is noted.
            every: seconds between two notices.
            limit: seconds that a command may take.
        """
        self._commands, self._about = commands, about
        self._reaper, self._worker, self._output = reaper, worker, output
        self._limit = limit
        self._paced = Paced(every)
        self._untold: Counter[str] = Counter()
        self._error = ""
        self._background = Background()

    def take(self, commands: Mapping[str, Sequence[str]], about: Notice) -> None:
        """Tell by these commands, and of this, from the next notice on."""
        self._commands, self._about = commands, about

    def happened(self, happening: Happening) -> None:
        """Tell people at once or when `every` has passed; of several that wait, only the newest."""
        if isinstance(happening, RunBegan):
            self._error = ""
        event, why = event_of(happening)
        key = next((each for each in COMMANDS.get(event, ()) if each in self._commands), "")
        if key:
            notice = replace(
                self._about, event=event, time=now(), reason=visible(why), error=self._error
            )
            self._untold[event] += 1
            command = self._commands[key]
            self._paced.ask(lambda: self._tell(key, command, notice))

    def published(self, name: str, value: Any) -> None:
        """Remember the error of the run for the next notice."""
        if name == "ERROR" and value:
            self._error = str(value)

    def close(self) -> None:
        """Send no more notices, and kill a command that runs."""
        self._paced.forget()
        self._background.cancel()

    def _tell(self, key: str, command: Sequence[str], notice: Notice) -> None:
        self._untold[notice.event] -= 1
        more = {event: count for event, count in self._untold.items() if count}
        self._untold.clear()
        self._background.run(self._run(key, command, replace(notice, more=more)))

    async def _run(self, key: str, command: Sequence[str], notice: Notice) -> None:
        try:
            why = await send(command, notice, self._reaper, self._worker, limit=self._limit)
        except Exception:
            log.exception("%s: %s", notice.name, key)
            why = FAULT
        if why:
            log.warning(
                "%s: notify: the command of %s failed for a %s: %s",
                notice.name,
                key,
                notice.event,
                why,
            )
            self._output.remark(f"notify: the command of {key} failed for a {notice.event}: {why}")


async def send(
    command: Sequence[str], notice: Notice, reaper: Reaper, worker: Worker, *, limit: float = LIMIT
) -> str:
    """Run a command with a notice; return why nobody was told, or nothing.

    The text that is returned holds neither the arguments nor the environment, which may be secret.
    """
    program = visible(command[0])
    environ = {**os.environ, **notice.environ()}
    environ.pop(COOKIE, None)
    try:
        async with asyncio.timeout(limit):
            path = await _found(command[0], environ, worker)
            if not path:
                return f"{program}: there is no such program in PATH that can be run"
            code, output = await run_tool(
                [path, *command[1:]], reaper, cwd=Path("/"), environ=environ, stdin=notice.json()
            )
    except TimeoutError:
        return f"{program}: not done within {limit:g} s"
    except OSError as error:
        return f"{program}: cannot be run: {error.strerror or error}"
    if code == 0:
        return ""
    lines = output.decode("utf-8", "replace").strip().splitlines() or [""]
    return f"{program}: exit {code}{': ' if lines[-1] else ''}{visible(lines[-1])[:LAST]}"


async def _found(program: str, environ: Mapping[str, str], worker: Worker) -> str:
    """Look for the program in the worker.

    Our own commands are found even if PATH does not have them.
    """
    places = (environ.get("PATH", os.defpath), str(Path(sys.executable).parent))
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def find() -> str:
        from shutil import which  # imported here because it imports all the archive formats

        return which(program, path=os.pathsep.join(places)) or ""

    def found(path: str) -> None:
        if not answer.done():
            answer.set_result(path)

    worker.do(f"look for {program}", find, found)
    return await answer


def about(name: str, prefix: str, script: str) -> Notice:
    """Return what all notices of an instance have in common; it is also the notice of a test."""
    return Notice("test", name, prefix, socket.gethostname(), script, now())


def now() -> str:
    """Return the time in the format of STARTTIME."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
