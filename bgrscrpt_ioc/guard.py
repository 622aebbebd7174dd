"""The IOC's side of the guardian: starts it, tells it of every session, starts it again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bgrscrpt_ioc.launch import COOKIE
from bgrscrpt_ioc.posix import Reaper

GUARDIAN = Path(__file__).with_name("child") / "guardian.py"
AGAIN = 1.0  # s between two starts of it, should it die again and again

log = logging.getLogger("bgrscrpt_ioc.guardian")


class Guardian:
    """A process that outlives the IOC by as long as it takes to kill what the IOC ran."""

    def __init__(self, reaper: Reaper, ioc_id: str, cgroups: Sequence[str] = ()) -> None:
        self._cgroups = cgroups
        self._reaper, self._mark = reaper, f"{COOKIE}={ioc_id}/"
        self._sessions: dict[int, int] = {}  # with the mark of the run
        self._pipe = -1
        self._again: asyncio.TimerHandle | None = None
        self._started = 0.0
        self.pid = 0

    def start(self) -> None:
        """Launch it.

        Raises:
            OSError: the IOC's own interpreter cannot be run.
        """
        self._again, self._started = None, time.monotonic()
        stdin, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-I", "-S", str(GUARDIAN), self._mark, *self._cgroups],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(stdin)
        self.pid, process.returncode = process.pid, 0  # reaped by the Reaper, not by Popen
        self._reaper.watch(self.pid, self._died)
        for session, mark in self._sessions.items():
            self._tell(f"+{session} {mark}")

    def open(self, session: int, mark: int) -> None:
        """From now on, kill this session, and what inherited its mark, when the IOC is gone."""
        self._sessions[session] = mark
        self._tell(f"+{session} {mark}")

    def close(self, session: int) -> None:
        """Nothing of this session lives any more; its number may be another's soon."""
        self._sessions.pop(session, None)
        self._tell(f"-{session}")

    def stop(self) -> None:
        """Let it kill what is left, if anything is, and end."""
        if self._again is not None:
            self._again.cancel()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _tell(self, line: str) -> None:
        if self._pipe >= 0:
            with contextlib.suppress(BrokenPipeError):  # it died: told to the next one
                os.write(self._pipe, f"{line}\n".encode())

    def _died(self, status: int) -> None:
        if self._pipe < 0:
            return  # it was let go
        os.close(self._pipe)
        self._pipe = -1
        log.warning("the guardian died (wait status %d); starting it again", status)
        # At once if it can be: were the IOC killed meanwhile, nobody would end its scripts.
        wait = max(0.0, self._started + AGAIN - time.monotonic())
        self._again = asyncio.get_running_loop().call_later(wait, self._start_again)

    def _start_again(self) -> None:
        try:
            self.start()
        except OSError as error:
            log.warning("the guardian cannot be started: %s", error)
            self._again = asyncio.get_running_loop().call_later(AGAIN, self._start_again)
