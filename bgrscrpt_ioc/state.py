"""What of an instance outlives the IOC: AUTORESTART and whether a user wants it to run.

One small JSON file for each instance, replaced as a whole; nothing is ever written in place.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bgrscrpt_ioc.files import replace_file
from bgrscrpt_ioc.worker import Worker

RETRY = 2.0  # s between attempts to save what could not be saved

log = logging.getLogger("bgrscrpt_ioc.state")


@dataclass(frozen=True, slots=True)
class InstanceState:
    """None: nobody has said so yet, the configuration decides."""

    autorestart: bool | None = None
    wanted: bool | None = None


@dataclass(frozen=True, slots=True)
class StateFile:
    """The state of one instance in the file `path`."""

    path: Path

    def load(self) -> tuple[InstanceState, str]:
        """Return the state, and what is wrong with the file (empty when nothing is).

        No file is no problem: that is a first start. An unreadable one gives the defaults; it is
        kept aside as `<name>.bad`, so that the next save does not destroy what it held.
        """
        try:
            return _read(self.path.read_bytes()), ""
        except FileNotFoundError:
            return InstanceState(), ""
        except OSError as error:
            return InstanceState(), f"{self.path}: cannot be read ({error.strerror}); defaults used"
        except ValueError as error:
            return InstanceState(), f"{self.path}: {error}; defaults used, {self._put_aside()}"

    def save(self, state: InstanceState) -> None:
        """Replace the file: after a crash or power cut it holds either the old state or the new.

        Raises:
            OSError: it could not be written; `filename` is the path of the state file.
        """
        text = json.dumps(asdict(state)) + "\n"
        try:
            replace_file(self.path, text.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def try_to_save(self, state: InstanceState) -> str:
        """Save; return what went wrong, or nothing."""
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


class KeptState:
    """The state of one instance, brought to its file by the worker: again and again until it is."""

    def __init__(self, file: StateFile, worker: Worker) -> None:
        """Load it; `problem` is what is wrong with the file, empty when nothing is."""
        self._file, self._worker = file, worker
        self.now, self.problem = file.load()
        self._trouble = ""
        self._again: asyncio.TimerHandle | None = None

    def set(self, state: InstanceState) -> None:
        """Have it saved, if it is another one."""
        if state != self.now:
            self.now = state
            self._save()

    def close(self) -> None:
        """Make sure that the worker's last work is to save it, should the file not have it."""
        if self._again is not None:
            self._again.cancel()
        if self._trouble or self.now != InstanceState():
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
                    "AUTORESTART and the wanted state cannot be kept: %s; trying again", trouble
                )
            loop = asyncio.get_running_loop()
            self._again = self._again or loop.call_later(RETRY, self._save)
        elif self._trouble:
            log.info("AUTORESTART and the wanted state are kept again: %s", self._file.path)
        self._trouble = trouble

    def _save_at_last(self) -> None:
        """In the worker: somebody may have removed the file, with its directory."""
        if self._file.load() != (self.now, "") and (why := self._file.try_to_save(self.now)):
            log.warning("AUTORESTART and the wanted state are not kept: %s", why)


def _read(data: bytes) -> InstanceState:
    """Parse the file; ValueError says what is wrong. Keys of later versions are passed over."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the content is wrong, not a type
    values = {field.name: raw.get(field.name) for field in fields(InstanceState)}
    for key, value in values.items():
        if value is not None and not isinstance(value, bool):
            raise ValueError(f"{key} is {value!r}, should be true, false or null")
    return InstanceState(**values)
