"""What the registry should say of each IOC name, and the journal that keeps it over a restart.

Knows no database. One small file per IOC name: several IOC processes may share the directory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bgrscrpt_ioc.files import replace_file
from bgrscrpt_ioc.registry.pvrows import PvRow


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a script that registered; `started` in seconds since the epoch."""

    pid: int
    exe_path: str
    started: float
    pvs: tuple[PvRow, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the registry should say of one IOC name.

    `run` without `stopped`: the script runs. With both: it ran, and its start may not be in the
    registry yet. `stopped` alone: whatever the registry says to be running stopped then.
    """

    ioc_name: str
    instance: str  # whose script asked for it, usually the same name
    run: Run | None
    stopped: float | None = None


class JournalError(Exception):
    """The journal cannot be read or written; the text names the file and the reason."""


class Journal:
    """The files of one directory, each replaced whole and synced before it counts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, ioc_name: str) -> Path:
        """The file of this IOC name, which may be in any alphabet and hold any character."""
        safe = quote(ioc_name, safe="")
        if len(safe) > 200:  # a file name has at most 255 bytes
            safe = f"{safe[:150]}~{hashlib.sha256(ioc_name.encode()).hexdigest()[:16]}"
        return self._directory / f"{safe}.json"

    def save(self, wanted: Wanted, *, written: bool) -> None:
        """Keep what is wanted; forget a stop that the registry has.

        Raises:
            JournalError: the disk is full, the directory cannot be made, ...
        """
        path = self.path(wanted.ioc_name)
        text = json.dumps({"version": 1, "written": written, **asdict(wanted)})
        try:
            if written and wanted.stopped is not None:
                path.unlink(missing_ok=True)
                return
            replace_file(path, text.encode())
        except OSError as error:
            raise JournalError(f"cannot keep {path}: {error.strerror or error}") from error

    def load(self, names: Collection[str]) -> tuple[list[tuple[Wanted, bool]], list[str]]:
        """What an earlier IOC left for these instances: (wanted, is it written), and problems.

        A damaged file is renamed to `*.bad`, so that it can be looked at and is not in the way.

        Raises:
            JournalError: the directory cannot be read.
        """
        left: list[tuple[Wanted, bool]] = []
        problems: list[str] = []
        try:
            for path in sorted(self._directory.glob("*.json")):
                try:
                    wanted, written = _parse(path.read_bytes())
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    path.replace(path.with_suffix(".bad"))
                    problems.append(f"{path} is damaged: kept as {path.stem}.bad, started anew")
                    continue
                if wanted.ioc_name in names or wanted.instance in names:
                    left.append((wanted, written))
        except OSError as error:
            raise JournalError(f"cannot read {error.filename}: {error.strerror}") from error
        return left, problems


def _parse(content: bytes) -> tuple[Wanted, bool]:
    raw = json.loads(content)
    if raw["version"] != 1:
        raise ValueError(f"version {raw['version']!r}")
    run = None if raw["run"] is None else _run(raw["run"])
    stopped = None if raw["stopped"] is None else float(raw["stopped"])
    if run is None and stopped is None:
        raise ValueError("neither a run nor a stop")
    return Wanted(_str(raw["ioc_name"]), _str(raw["instance"]), run, stopped), bool(raw["written"])


def _run(raw: dict[str, Any]) -> Run:
    return Run(
        int(raw["pid"]),
        _str(raw["exe_path"]),
        float(raw["started"]),
        tuple(
            PvRow(
                _str(pv["name"]),
                _str(pv["record_type"]),
                _str(pv["desc"]),
                {_str(info): _str(value) for info, value in pv["infos"].items()},
            )
            for pv in raw["pvs"]
        ),
    )


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value
