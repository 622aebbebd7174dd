"""Finds what would keep `run` from serving, besides the scripts themselves: for `check`.

It leaves nothing behind: a directory that does not exist is not made.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bgrscrpt_ioc.access.acf import AccessFileError, parse
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.registry.dbtrouble import RegistryError
from bgrscrpt_ioc.registry.registry import nothing_yet, read_table


def problems(settings: IocSettings) -> list[str]:
    """Return a line for each setting of the IOC that makes `run` fail."""
    return [
        *_access_problems(settings.asg),
        *_directory_problems({"state_dir": settings.state_dir, "log_dir": settings.log_dir}),
        *_registry_problems(settings.registry),
        *(problem for each in settings.interfaces for problem in _interface_problems(each)),
    ]


def warnings(settings: IocSettings) -> list[str]:
    """Return a line for each thing that is wrong now but does not keep the scripts from running."""
    if nothing_yet(settings.registry) or list(_registry_problems(settings.registry)):
        return []
    try:
        read_table(settings.registry)
    except RegistryError as error:
        return [
            f"registry: {error}; scripts run without it; their rows are written when it answers"
        ]
    return []


def _access_problems(path: Path | None) -> Iterator[str]:
    if path is None:
        return
    try:
        parse(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        yield f"asg: {path}: cannot be read: {error.strerror}"
    except AccessFileError as error:
        yield f"asg: {path}: {error}"


def _directory_problems(directories: Mapping[str, Path]) -> Iterator[str]:
    """Check each directory: whether it can be written to, or made below one that exists."""
    told: set[Path] = set()
    for key, path in directories.items():
        there = next(each for each in (path, *path.parents) if each.exists() or each.is_symlink())
        exists = there == path
        trial = tempfile.TemporaryFile if exists else tempfile.TemporaryDirectory
        try:
            with trial(dir=there):
                continue
        except OSError as error:
            if there not in told:
                told.add(there)
                what = "written" if exists else "made"
                yield f"{key}: {path} cannot be {what}: {there}: {error.strerror}"


def _registry_problems(url: str) -> Iterator[str]:
    # Imported here, because it imports SQLAlchemy.
    from bgrscrpt_ioc.registry.dbconnection import IocDb

    try:
        IocDb(url, "read")
    except RegistryError as error:
        yield f"registry: {error}"


def _interface_problems(address: str) -> Iterator[str]:
    """Check that an interface is an address of this host. The IOC that runs may use the port."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        yield f"interfaces: {address}: cannot serve there: {error.strerror}"
