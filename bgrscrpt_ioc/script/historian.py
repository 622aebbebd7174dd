"""Keeps the history of one instance in its file and in the PV HISTORY.

A worker writes the file, so the event loop waits for no disk. If the disk is full, the worker tries
again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.lifecycle.events import Severity
from bgrscrpt_ioc.output.output import Publish
from bgrscrpt_ioc.records.table import TAIL
from bgrscrpt_ioc.script.history import KEPT, PastRun, fitting, for_people, pv_line
from bgrscrpt_ioc.script.historyfile import MAX_TEXT, HistoryFile, Loaded, Texts
from bgrscrpt_ioc.script.story import Happening, RunBegan, RunEnded

RETRY = 2.0  # s until a read or a save that has failed is tried again
SOON = 0.5  # s that details of a run wait for further details
IN_PV = 100  # runs that HISTORY shows, if they fit

# Is called with the whole text that ran; with None if the file has changed since.
GetText = Callable[[str, Callable[[bytes | None], None]], None]

log = logging.getLogger("bgrscrpt_ioc.history")


class Historian:
    """The history of one instance; a `witness.Follower`."""

    def __init__(
        self,
        name: str,
        script: str,
        *,
        file: HistoryFile,
        texts: Texts,
        get_text: GetText,
        worker: Worker,
        publish: Publish,
    ) -> None:
        """Begin: the worker reads what earlier IOCs have kept.

        Args:
            name: name of the instance.
            script: path of its script.
            file: where runs are kept.
            texts: where the texts that ran are kept.
            get_text: gets the text with this SHA-256 from the script's disk.
            worker: does all that may block.
            publish: shows HISTORY.
        """
        self._name, self._script = name, script
        self._file, self._texts, self._get_text = file, texts, get_text
        self._worker, self._publish = worker, publish
        self._loop = asyncio.get_running_loop()
        self._before: int | None = None  # runs of earlier IOCs; None until the file was read
        self._runs: dict[int, PastRun] = {}  # the newest, by their numbers in this IOC: 1, 2, ...
        self._lines: dict[int, str] = {}  # the same runs as lines of HISTORY
        self._unsaved: dict[int, PastRun] = {}
        self._newest = 0
        self._since = 0.0  # when the newest run began, monotonic
        self._kept_text = ""
        self._trouble = ""
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._load()

    def take(self, script: str) -> None:
        """Note this path with later runs."""
        self._script = script

    def add_stacks(self, text: str) -> None:
        """Add to the newest run the stacks that show where it hung."""
        self._note(stacks=text)

    # --- witness.Follower ----------------------------------------------------------------------

    def happened(self, happening: Happening) -> None:
        """Save the beginning or the end of a run at once."""
        match happening:
            case RunBegan(run, by, restarts):
                self._newest, self._since = run, time.monotonic()
                self._runs[run] = PastRun(
                    run, _now(), by=by, restarts=restarts, script=self._script
                )
                self._unsaved[run] = self._runs[run]
                while len(self._runs) > IN_PV:
                    oldest = min(self._runs)
                    del self._runs[oldest]
                    self._lines.pop(oldest, None)
                self._show()
                self._save()
            case RunEnded(run, how, why):
                if run == self._newest:
                    lasted = round(time.monotonic() - self._since, 3)
                    self._note(how=how.value, why=why, end=_now(), seconds=lasted)
                    self._save()
            case _:
                pass

    def published(self, name: str, value: Any) -> None:
        """Remember a reading of the newest run."""
        match name, value:
            case "ERROR", str() if value:
                self._note(error=value)
            case "EXITCODE", int():
                self._note(code=value)
            case "EXITREASON", str():
                self._note(reason=value)
            case "STARTTIME", str():
                self._note(start=value)
            case "SCRIPT:GIT", str():
                self._note(git=value)
            case "STACK:TEXT", str() if value:
                self.add_stacks(value)
            case "SCRIPT:SHA256", str() if value:
                self._note(sha256=value)
                self._keep_text(value)
            case _:
                pass

    def close(self) -> None:
        """End: the worker's last work is to save what is not in the file."""
        if self._timer is not None:
            self._timer.cancel()
        self._closed = True
        if self._before is None and self._unsaved:
            runs = list(self._unsaved.values())
            self._worker.do(f"save {self._file.path}", lambda: self._save_unread(runs))
        else:
            self._save()

    def _save_unread(self, runs: Sequence[PastRun]) -> None:
        """Add runs, in the worker, to a file that has not been read until now."""
        loaded = self._file.load(1)
        before = max((run.number for run in loaded.runs), default=0)
        numbered = [replace(run, number=run.number + before) for run in runs]
        if trouble := loaded.trouble or self._file.save(numbered):
            log.warning("%s: the history is not kept: %s", self._name, trouble)

    # --- what it keeps -------------------------------------------------------------------------

    def _note(self, **details: Any) -> None:
        """Add details to the newest run, and save them soon."""
        run = self._runs.get(self._newest)
        if run is None or (now := replace(run, **details)) == run:
            return
        self._runs[self._newest] = self._unsaved[self._newest] = now
        self._lines.pop(self._newest, None)
        self._show()
        self._later(SOON)

    def _show(self) -> None:
        newest = sorted(self._runs, reverse=True)
        severity = Severity.MINOR if self._trouble else Severity.NO_ALARM
        self._publish("HISTORY", fitting(map(self._line, newest), TAIL - 1), severity)
        told = (for_people(self._numbered(self._runs[each])) for each in newest)
        self._publish("HISTORY:TEXT", fitting(told, TAIL - 1), severity)

    def _line(self, number: int) -> str:
        """Return a run as a line of HISTORY; each line is made once."""
        if number not in self._lines:
            self._lines[number] = pv_line(self._numbered(self._runs[number]))
        return self._lines[number]

    def _numbered(self, run: PastRun) -> PastRun:
        return replace(run, number=run.number + (self._before or 0))

    def _keep_text(self, sha256: str) -> None:
        """Keep the text that runs, if it differs from the text before."""
        if sha256 == self._kept_text:
            return

        def got(data: bytes | None) -> None:
            if data is None or len(data) > MAX_TEXT:
                return
            self._worker.do(
                f"keep the text of the script of {self._name}",
                lambda: self._texts.keep(sha256, data),
                kept,
            )

        def kept(trouble: str) -> None:
            if trouble:
                log.warning("%s: the text of the script is not kept: %s", self._name, trouble)
            else:
                self._kept_text = sha256

        self._get_text(sha256, got)

    # --- the worker ----------------------------------------------------------------------------

    def _load(self) -> None:
        self._worker.do(f"read {self._file.path}", lambda: self._file.load(IN_PV), self._loaded)

    def _loaded(self, loaded: Loaded) -> None:
        # The last work was given to the worker: now the file belongs to the next IOC.
        if self._closed:
            return
        if loaded.trouble:
            self._say(loaded.trouble)
            self._later(RETRY)
            return
        if loaded.problem:
            log.warning("%s: %s", self._name, loaded.problem)
        before = self._before = max((run.number for run in loaded.runs), default=0)
        for run in loaded.runs:
            number = run.number - before  # 0, -1, ...: before the runs of this IOC
            self._runs[number] = replace(run, number=number)
        self._lines.clear()
        self._say("")
        self._save()

    def _later(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._save)

    def _save(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._before is None:
            if self._trouble:
                self._load()
            return  # otherwise the worker is about to read the file
        if not self._unsaved:
            return
        while len(self._unsaved) > KEPT:
            del self._unsaved[min(self._unsaved)]
        batch = dict(self._unsaved)
        runs = [self._numbered(run) for run in batch.values()]
        self._worker.do(
            f"save {self._file.path}",
            lambda: self._file.save(runs),
            lambda trouble: self._saved(trouble, batch),
        )

    def _saved(self, trouble: str, batch: dict[int, PastRun]) -> None:
        if self._closed:
            return
        if not trouble:
            for number, run in batch.items():
                if self._unsaved.get(number) is run:
                    del self._unsaved[number]
        self._say(trouble)
        if trouble:
            self._later(RETRY)

    def _say(self, trouble: str) -> None:
        """Say in the log that the history cannot be kept, or that it is kept again."""
        if trouble and not self._trouble:
            log.warning("%s: the history cannot be kept: %s; trying again", self._name, trouble)
        elif self._trouble and not trouble:
            log.info("%s: the history is kept again: %s", self._name, self._file.path)
        self._trouble = trouble
        self._show()


def _now() -> str:
    """Return the time in the format of STARTTIME."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
