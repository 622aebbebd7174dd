"""Checks or restarts a script whose file has changed, as the setting `on_change` says.

The file is looked at once a second. While others still write the file, nothing is done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Literal, Protocol

from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.lifecycle.events import CommandFailed, State
from bgrscrpt_ioc.output.output import Output
from bgrscrpt_ioc.script.scriptfile import ScriptFile
from bgrscrpt_ioc.script.story import Happening

BY = "on_change (changed on disk)"  # who asked for the restart
LOOK = 1.0  # s between two looks
STILL = 2.0  # s without a further change until the text counts
# A script that a user has stopped, or that has finished, is not started.
RESTARTED = (State.RUNNING, State.BACKOFF, State.FAILED)
PASSING = (State.STARTING, State.STOPPING)

Mode = Literal["off", "check", "restart"]

log = logging.getLogger("bgrscrpt_ioc.onchange")


class Checks(Protocol):
    """What checks the script on disk."""

    async def check(self) -> str:
        """Return why the script does not compile, or nothing."""
        ...


class Restarts(Protocol):
    """What restarts the script."""

    @property
    def state(self) -> State:
        """Return the state of the instance."""
        ...

    async def restart(self, by: str) -> None:
        """Return when the new run has begun; raise CommandFailed if it does not begin."""
        ...


class Settling:
    """Tells when a new text has not changed for long enough, once for each text. Pure."""

    def __init__(self, still: float = STILL) -> None:
        """Begin; no text has been seen."""
        self._still = still
        self._handled: str | None = None  # the text that runs, or that was returned as settled
        self._new, self._since = "", 0.0

    def seen(self, now: float, text: str, running: str, *, ready: bool) -> bool:
        """Take a look at the time `now`; return whether a new text is to be handled.

        Args:
            now: seconds, monotonic.
            text: SHA-256 of the file; empty while there is no file that can be read.
            running: SHA-256 of the text that runs or ran last; empty if it is unknown.
            ready: whether a text can be handled now.
        """
        if self._handled is None:
            self._handled = running or text
        if text and text == running:
            self._handled = text
        if text in ("", self._handled):
            self._new = ""
        elif text != self._new:
            self._new, self._since = text, now
        elif ready and now - self._since >= self._still:
            self._handled, self._new = text, ""
            return True
        return False


class OnChange:
    """Watches the file of one instance; a `witness.Follower` that needs only `close`."""

    def __init__(
        self,
        mode: Mode,
        *,
        script: ScriptFile,
        checks: Checks,
        restarts: Restarts,
        output: Output,
        look: float = LOOK,
        still: float = STILL,
    ) -> None:
        """Begin to look, `look` seconds from now, unless the mode is off."""
        self._mode, self._script, self._checks, self._restarts = mode, script, checks, restarts
        self._output, self._look = output, look
        self._still, self._settling = still, Settling(still)
        self._faults = Faults("on_change")
        self._task: asyncio.Task[None] | None = None
        self._begin()

    def take(self, mode: Mode) -> None:
        """Do this from now on."""
        if mode != self._mode:
            self.close()
            self._mode, self._settling = mode, Settling(self._still)
            self._begin()

    def _begin(self) -> None:
        if self._mode != "off":
            self._task = asyncio.get_running_loop().create_task(self._watch())

    def happened(self, happening: Happening) -> None:
        """Do nothing."""

    def published(self, name: str, value: Any) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look)
            with self._faults:
                await self._script.look()
                ready = self._restarts.state not in PASSING
                text, running = self._script.now
                if self._settling.seen(time.monotonic(), text, running, ready=ready):
                    await self._handle()

    async def _handle(self) -> None:
        if problem := await self._checks.check():
            text = f"the script has changed on disk, and is bad: {problem}"
            self._script.judge(text, bad=True)
            self._output.warn(text)
        elif self._mode == "restart" and self._restarts.state in RESTARTED:
            try:
                await self._restarts.restart(BY)
            except CommandFailed as error:
                self._output.warn(f"the script has changed on disk, and was not restarted: {error}")
        else:
            text = "the script has changed on disk, and compiles; the next start runs it"
            self._script.judge(text)
            self._output.warn(text)
