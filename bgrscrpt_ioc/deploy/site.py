"""Reads from a settings file what the files of a site need. Pure; keeps no secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

DEFAULT_STOP = 5.0  # s: `stop_timeout` if the file does not set it
LIMITS = ("memory_max", "cpu_max", "nproc_max")  # limits that need a delegated cgroup to be exact
_MACRO = re.compile(r"(?<!\\)\$[({](\w+)[)}]")
_OWN = {"STATE", "ICPVARDIR"}  # macros that the IOC or its unit sets


@dataclass(frozen=True, slots=True)
class Site:
    """One IOC on one host, as the files around it need to know it."""

    program: tuple[str, ...]  # command that starts bgrscrpt-ioc
    config: Path  # absolute path of the settings file
    prefix: str = ""
    user: str = "bgrscrpt"
    console: int = 20001  # port of procServ's console
    log: str = "/var/log/bgrscrpt.log"  # log file of procServ
    names: tuple[str, ...] = ()  # names of the instances
    stop_timeout: float = DEFAULT_STOP  # s: the longest `stop_timeout` of all instances
    database: bool = False  # whether the registry is a database server
    limited: bool = False  # whether an instance has limits that need a delegated cgroup
    writable: tuple[str, ...] = ()  # directories of the settings in which the IOC writes
    variables: tuple[str, ...] = ()  # variables of the environment that the settings need
    scripts: tuple[str, ...] = ()  # paths of the scripts that have no macro

    @property
    def command(self) -> tuple[str, ...]:
        """The command line that runs the IOC."""
        return (*self.program, "run", "--config", str(self.config))

    @property
    def script_directories(self) -> tuple[str, ...]:
        """The directories of the scripts that have absolute paths."""
        paths = [PurePosixPath(each) for each in self.scripts]
        return tuple(sorted({str(each.parent) for each in paths if each.is_absolute()}))


def site_of(
    document: Mapping[str, Any],
    program: tuple[str, ...],
    config: Path,
    *,
    prefix: str,
    user: str,
    console: int = 20001,
    log: str = "/var/log/bgrscrpt.log",
) -> Site:
    """Return the site of a settings file; `document` is the file's TOML.

    Macros are not expanded, because the service has another environment than this command.
    """
    named = document.get("instance")
    defaults = document.get("defaults")
    tables = [each for each in _tables(named) if isinstance(each, Mapping)]
    every = [*tables, *([defaults] if isinstance(defaults, Mapping) else [])]
    stops = [_number(each.get("stop_timeout")) for each in every]
    limited = any(each.get(limit, 0) for each in every for limit in LIMITS)
    places = [document.get(key) for key in ("state_dir", "log_dir")]
    scripts = [each.get("script") for each in every]
    lacking = set() if "prefix" in document else {"MYPVPREFIX"}
    return Site(
        program,
        config,
        prefix=prefix,
        user=user,
        console=console,
        log=log,
        names=tuple(named) if isinstance(named, Mapping) else (),
        stop_timeout=max([DEFAULT_STOP, *stops]),
        database=str(document.get("registry", "")).startswith("mysql"),
        limited=limited and document.get("cgroup", "auto") != "off",
        writable=tuple(
            str(config.parent / each)
            for each in places
            if isinstance(each, str) and "$" not in each
        ),
        variables=tuple(sorted((set(_macros(document)) | lacking) - _OWN)),
        scripts=tuple(each for each in scripts if isinstance(each, str) and "$" not in each),
    )


def _tables(named: Any) -> list[Any]:
    return list(named.values()) if isinstance(named, Mapping) else []


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _macros(value: Any) -> Iterator[str]:
    """Yield the names of the macros in a value that have no default."""
    if isinstance(value, str):
        yield from _MACRO.findall(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _macros(each)
    elif isinstance(value, list):
        for each in value:
            yield from _macros(each)
