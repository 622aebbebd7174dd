"""What of an instance outlives the IOC: AUTORESTART and whether a user wants it to run.

One small JSON file for each instance, replaced as a whole; nothing is ever written in place.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

MODE = 0o640


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
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self.path, text.encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error

    def _put_aside(self) -> str:
        bad = self.path.with_name(self.path.name + ".bad")
        try:
            self.path.replace(bad)
        except OSError as error:
            return f"the file stays where it is ({error.strerror})"
        return f"the file is kept as {bad.name}"


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


def _replace(path: Path, data: bytes) -> None:
    # One name, not a random one: an instance has one writer, and what a crash leaves is used again.
    temporary = path.with_name(f".{path.name}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, MODE)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - of a descriptor
            os.fchmod(handle, MODE)
            file.write(data)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    # The rename itself is on disk only when its directory is (POSIX says nothing; ext4, xfs: so).
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
