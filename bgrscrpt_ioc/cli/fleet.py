"""The file of a fleet: which IOCs there are elsewhere, at which hosts and with which prefixes.

    [ioc.NDW1234]
    prefix = "TE:NDW1234:"
    hosts = ["ndw1234.example", "192.0.2.7:5066"]    # default: where every client searches
    names = ["BGRSCRPT_01", "BGRSCRPT_02"]           # default: BGRSCRPT_01 and its siblings
    port = 5064

Keys at the top of the file hold for all IOCs that do not set them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.cli.address import read_toml
from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.config.load import FIRST

PORT = 5064
_PREFIX = re.compile(r"[A-Za-z0-9_\-+:\[\]<>;]*")
_NAME = re.compile(r"[A-Z0-9_]+")
_HOST = re.compile(r"[^\s:]+(:[0-9]{1,5})?")

_KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {  # what each key must be
    "prefix": (
        lambda value: isinstance(value, str) and bool(_PREFIX.fullmatch(value)),
        "a text that PV names may begin with",
    ),
    "hosts": (lambda value: _texts(value, _HOST), 'a list of hosts, ["HOST", "HOST:PORT"]'),
    "names": (lambda value: _texts(value, _NAME), 'a list of instances, ["BGRSCRPT_01"]'),
    "port": (
        lambda value: type(value) is int and 0 < value < 65_536,
        "a port, 1 to 65535",
    ),
}


def read_fleet(path: Path) -> list[Instance]:
    """Return the instances that a fleet's file names.

    Raises:
        ConfigError: with every problem found.
    """
    document = read_toml(path)
    iocs = document.pop("ioc", {})
    problems: list[str] = []
    if not isinstance(iocs, dict) or not iocs:
        problems.append(f"{path}: names no IOC; write a table [ioc.NAME] with a prefix for each")
        iocs = {}
    problems += _problems(document, f"{path}: ")
    found: list[Instance] = []
    for name, table in iocs.items():
        where = f"{path}: [ioc.{name}] "
        if not isinstance(table, dict):
            problems.append(f"{path}: ioc.{name}: is {table!r}, should be a table, [ioc.{name}]")
            continue
        problems += _problems(table, where)
        if "prefix" not in table and "prefix" not in document:
            problems.append(f"{where}prefix: is missing")
        if not problems:
            found += _instances({**document, **table}, path.name)
    if problems:
        raise ConfigError(*problems)
    return found


def _instances(table: Mapping[str, Any], source: str) -> Iterator[Instance]:
    for name in table.get("names", [FIRST]):
        yield Instance(
            table["prefix"], name, table.get("port", PORT), tuple(table.get("hosts", ())), source
        )


def _problems(table: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in table.items():
        if key not in _KEYS:
            yield f"{where}{key}: is not known; known are {', '.join(_KEYS)}"
        elif not _KEYS[key][0](value):
            yield f"{where}{key}: is {value!r}, should be {_KEYS[key][1]}"


def _texts(value: Any, form: re.Pattern[str]) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, str) and form.fullmatch(each) for each in value)
    )
