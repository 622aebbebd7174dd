"""The IOC's side of the guardian: starts it, tells it of every session, and starts it again.

guardian_program.py has what the guardian does when the IOC is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bgrscrpt_ioc.host.contract import COOKIE
from bgrscrpt_ioc.host.posix.reaper import Reaper
from bgrscrpt_ioc.host.posix.signals import send

PROGRAM = Path(__file__).with_name("guardian_program.py")
AGAIN = 1.0  # s between two starts, if it dies again and again

log = logging.getLogger("bgrscrpt_ioc.guardian")


class Guardian:
    """The process that outlives the IOC for as long as it takes to kill the IOC's scripts."""

    def __init__(self, reaper: Reaper, ioc_id: str, cgroups: Sequence[str] = ()) -> None:
        self._cgroups = list(cgroups)
        self._reaper, self._mark = reaper, f"{COOKIE}={ioc_id}/"
        self._sessions: dict[int, int] = {}  # each with the mark of its run
        self._pipe = -1
        self._again: asyncio.TimerHandle | None = None
        self._started = 0.0
        self.pid = 0

    def start(self) -> None:
        """Launch the guardian.

        Raises:
            OSError: the IOC's own interpreter cannot be run.
        """
        self._again, self._started = None, time.monotonic()
        stdin, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-I", "-S", str(PROGRAM), self._mark, *self._cgroups],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._pipe)
            self._pipe = -1  # the number may soon belong to another file
            raise
        finally:
            os.close(stdin)
        self.pid, process.returncode = process.pid, 0  # the Reaper reaps it, not Popen
        self._reaper.watch(self.pid, self._died)
        for session, mark in self._sessions.items():
            self._tell(f"+{session} {mark}")

    def open(self, session: int, mark: int) -> None:
        """Kill this session, and processes with its mark, if the IOC is gone; from now on."""
        self._sessions[session] = mark
        self._tell(f"+{session} {mark}")

    def add_cgroup(self, cgroup: str) -> None:
        """From now on, kill what is in this control group, too, when the IOC is gone."""
        if cgroup not in self._cgroups:
            self._cgroups.append(cgroup)
            self._tell(f"={cgroup}")

    def close(self, session: int) -> None:
        """Forget a session: none of its processes lives, and its number may soon be used again."""
        self._sessions.pop(session, None)
        self._tell(f"-{session}")

    def stop(self) -> None:
        """Let the guardian kill what is left, if anything is, and end."""
        if self._again is not None:
            self._again.cancel()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _tell(self, line: str) -> None:
        if self._pipe >= 0:
            try:
                os.write(self._pipe, f"{line}\n".encode())
            except BrokenPipeError:
                pass  # the guardian died: the next one is told
            except BlockingIOError:  # it is stopped, or hangs: the next one is told everything
                send([self.pid], signal.SIGKILL)

    def _died(self, status: int) -> None:
        if self._pipe < 0:
            return  # it was allowed to end
        os.close(self._pipe)
        self._pipe = -1
        log.warning("the guardian died (wait status %d); starting it again", status)
        # At once if possible: if the IOC were killed meanwhile, nobody would end its scripts.
        wait = max(0.0, self._started + AGAIN - time.monotonic())
        self._again = asyncio.get_running_loop().call_later(wait, self._start_again)

    def _start_again(self) -> None:
        try:
            self.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            log.warning("the guardian cannot be started: %s", error)
            self._again = asyncio.get_running_loop().call_later(AGAIN, self._start_again)
