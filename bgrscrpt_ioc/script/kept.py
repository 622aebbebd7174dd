"""Keeps what outlives the IOC: AUTORESTART, and whether a user wants the instance to run.

Each instance has a small JSON file, which is always replaced as a whole.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bgrscrpt_ioc.host.files import replace_file
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.script.paced import Paced

RETRY = 2.0  # s until a save that has failed is tried again
PACE = 0.1  # s between two saves: a client may switch AUTORESTART a thousand times a second

log = logging.getLogger("bgrscrpt_ioc.kept")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one instance. None means: nobody has said so yet, the settings decide."""

    autorestart: bool | None = None
    wanted: bool | None = None


@dataclass(frozen=True, slots=True)
class KeptFile:
    """The file of one instance."""

    path: Path

    def load(self) -> tuple[Kept, str]:
        """Return what the file holds, and what is wrong with the file (empty if nothing is wrong).

        Without a file the defaults count: this is a first start. A file that cannot be read gives
        the defaults too. It is kept as `<name>.bad`, so that the next save does not destroy its
        content.
        """
        try:
            return _read(self.path.read_bytes()), ""
        except FileNotFoundError:
            return Kept(), ""
        except OSError as error:
            return Kept(), f"{self.path}: cannot be read ({error.strerror}); defaults used"
        except ValueError as error:
            return Kept(), f"{self.path}: {error}; defaults used, {self._put_aside()}"

    def save(self, state: Kept) -> None:
        """Replace the file. After a crash or a power cut it holds either the old state or the new.

        Raises:
            OSError: the file could not be written; `filename` is its path.
        """
        text = json.dumps(asdict(state)) + "\n"
        try:
            replace_file(self.path, text.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def try_to_save(self, state: Kept) -> str:
        """Replace the file; return what went wrong, or nothing."""
        try:
            self.save(state)
        except OSError as error:
            return str(error)
        return ""

    def _put_aside(self) -> str:
        bad = self.path.with_name(self.path.name + ".bad")
        try:
            self.path.replace(bad)
        except OSError as error:
            return f"the file stays where it is ({error.strerror})"
        return f"the file is kept as {bad.name}"


class Keeper:
    """Keeps the state of one instance: a worker tries to save it until the file has it."""

    def __init__(self, file: KeptFile, worker: Worker) -> None:
        """Load the state; `problem` is what is wrong with the file, empty if nothing is wrong."""
        self._file, self._worker = file, worker
        self.now, self.problem = file.load()
        self._trouble = ""
        self._saves = Paced(PACE)
        self._again: asyncio.TimerHandle | None = None

    def set(self, state: Kept) -> None:
        """Save the state, if it has changed."""
        if state != self.now:
            self.now = state
            self._saves.ask(self._save)

    def close(self) -> None:
        """End: the worker's last work is to save the state, if the file does not have it."""
        if self._again is not None:
            self._again.cancel()
        if self._trouble or self.now != Kept():
            self._worker.do(self._key, self._save_at_last)

    @property
    def _key(self) -> str:
        return f"save {self._file.path}"

    def _save(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        state = self.now
        self._worker.do(self._key, lambda: self._file.try_to_save(state), self._saved)

    def _saved(self, trouble: str) -> None:
        if trouble:
            if not self._trouble:
                log.warning(
                    "AUTORESTART and the last START or STOP cannot be kept: %s; trying again",
                    trouble,
                )
            loop = asyncio.get_running_loop()
            self._again = self._again or loop.call_later(RETRY, self._save)
        elif self._trouble:
            log.info("AUTORESTART and the last START or STOP are kept again: %s", self._file.path)
        self._trouble = trouble

    def _save_at_last(self) -> None:
        """Save the state in the worker, even if somebody has removed the file and its directory."""
        if self._file.load() != (self.now, "") and (why := self._file.try_to_save(self.now)):
            log.warning("AUTORESTART and the last START or STOP are not kept: %s", why)


def _read(data: bytes) -> Kept:
    """Return what the file holds; ValueError says what is wrong.

    Keys of later versions are ignored.
    """
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the content is wrong, not a type
    values = {field.name: raw.get(field.name) for field in fields(Kept)}
    for key, value in values.items():
        if value is not None and not isinstance(value, bool):
            raise ValueError(f"{key} is {value!r}, should be true, false or null")
    return Kept(**values)
