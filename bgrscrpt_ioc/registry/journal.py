"""The journal: keeps on disk what scripts have registered, until the registry has their end.

It knows no database. Each IOC name and instance has a small file. Several IOC processes, also of
several prefixes, may share the directory.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bgrscrpt_ioc.host.digest import sha256_of
from bgrscrpt_ioc.host.files import replace_file
from bgrscrpt_ioc.registry.pvrows import PvRow
from bgrscrpt_ioc.registry.wanted import Claim, Ident, RegisteredRun


class JournalError(Exception):
    """The journal cannot be read or written; the text names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Left:
    """What earlier IOCs have left for the instances of this IOC, and what other IOCs have."""

    claims: tuple[Claim, ...]
    others: frozenset[Ident]  # the rows of other IOCs' scripts
    problems: tuple[str, ...]


class Journal:
    """The files of one directory. Each is replaced as a whole and synced before it counts."""

    def __init__(self, directory: Path, prefix: str = "") -> None:
        """Prepare; with its `prefix` the name of an instance is unique."""
        self._directory, self._prefix = directory, prefix

    def path(self, ioc_name: str, instance: str) -> Path:
        """Return the file of a name, which may have any characters."""
        parts = (self._prefix, instance, ioc_name)
        safe = "+".join(quote(part, safe="") for part in parts)
        if len(safe) > 200:  # a file name has at most 255 bytes
            safe = f"{safe[:150]}~{sha256_of('+'.join(parts).encode())[:16]}"
        return self._directory / f"{safe}.json"

    def save(self, claim: Claim) -> None:
        """Keep what a script has registered.

        Raises:
            JournalError: the disk is full, the directory cannot be made, or the like.
        """
        path = self.path(claim.ioc_name, claim.instance)
        text = json.dumps({"version": 2, "prefix": self._prefix, **asdict(claim)})
        try:
            replace_file(path, text.encode())
        except OSError as error:
            raise JournalError(f"cannot keep {path}: {error.strerror or error}") from error

    def forget(self, ioc_name: str, instance: str) -> None:
        """Remove a file: the registry has the end of the script.

        Raises:
            JournalError: the file cannot be removed.
        """
        path = self.path(ioc_name, instance)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise JournalError(f"cannot remove {path}: {error.strerror or error}") from error

    def load(self, instances: Collection[str]) -> Left:
        """Return what earlier IOCs left for these instances, and what other IOCs have.

        A damaged file is renamed to `*.bad`, so that somebody can look at it.

        Raises:
            JournalError: the directory cannot be read.
        """
        left: list[Claim] = []
        others: set[Ident] = set()
        problems: list[str] = []
        try:
            for path in sorted(self._directory.glob("*.json")):
                try:
                    content = path.read_bytes()
                except FileNotFoundError:  # another IOC has removed it meanwhile
                    continue
                try:
                    prefix, claim = _parse(content)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    path.replace(path.with_suffix(".bad"))
                    problems.append(f"{path} is damaged: kept as {path.stem}.bad, started anew")
                    continue
                if prefix != self._prefix or claim.instance not in instances:
                    others.add(claim.run.ident)
                else:
                    left.append(claim)
        except OSError as error:
            raise JournalError(f"cannot read {error.filename}: {error.strerror}") from error
        return Left(tuple(left), frozenset(others), tuple(problems))


def _parse(content: bytes) -> tuple[str, Claim]:
    raw = json.loads(content)
    if raw["version"] != 2:
        raise ValueError(f"version {raw['version']!r}")
    claim = Claim(
        _str(raw["ioc_name"]),
        _str(raw["instance"]),
        _run(raw["run"]),
        None if raw["stopped"] is None else float(raw["stopped"]),
        tuple((None if pid is None else int(pid), int(at)) for pid, at in raw["earlier"]),
    )
    return _str(raw["prefix"]), claim


def _run(raw: dict[str, Any]) -> RegisteredRun:
    return RegisteredRun(
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
        float(raw.get("registered", 0.0)),
    )


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value
