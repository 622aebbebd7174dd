"""Reads the variables `EPICS_CA_*`, `EPICS_CAS_*` and `EPICS_IOC_LOG_*` as EPICS base reads them.

Pure: takes a mapping; returns values, and what is wrong with the mapping. Nothing is raised: for a
value that makes no sense the default is used, and a message says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

SERVER_PORT, REPEATER_PORT, LOG_PORT = 5064, 5065, 7004  # the defaults of EPICS base's CONFIG_ENV
RESERVED = 5000  # the highest port that base refuses in a variable (IPPORT_USERRESERVED)
HIGHEST_PORT = 65_535
BEACON_PERIOD = 15.0  # s
SHOWN = 60  # characters of a value in a message

_HOST = re.compile(r"(?!\d+$)[A-Za-z0-9][A-Za-z0-9_.-]*")
_INTEGER = re.compile(r"\s*([+-]?\d{1,19})")  # base uses sscanf, which ignores what follows
_NUMBER = re.compile(r"\s*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class EpicsVariables:
    """What the variables say; `problems` has what is wrong with them."""

    server_port: int | None  # None if no variable names one
    client_port: int
    beacon_port: int
    beacon_period: float  # s, more than 0
    beacon_addresses: str
    auto_beacons: bool
    ignored: str
    interfaces: tuple[str, ...]
    addresses: str
    auto_addresses: bool
    log_host: str  # of the log server, "": none
    log_port: int
    problems: tuple[str, ...]


def read_epics_variables(variables: Mapping[str, str]) -> EpicsVariables:
    """Return what the variables mean for a server and a client of Channel Access."""
    problems: list[str] = []

    def text(*names: str) -> tuple[str, str]:
        """Return name and value of the first of the variables that is not empty."""
        return next(((n, variables[n]) for n in names if variables.get(n, "").strip()), ("", ""))

    def port(default: int | None, *names: str) -> int | None:
        name, value = text(*names)
        if not name:
            return default
        found = _INTEGER.match(value)
        number = int(found[1]) if found else 0
        if RESERVED < number <= HIGHEST_PORT:
            return number
        shown = SERVER_PORT if default is None else default
        problems.append(
            f"{name}={_shown(value)} is not a port from {RESERVED + 1} to {HIGHEST_PORT}:"
            f" {shown} is taken; correct or unset {name}"
        )
        return shown

    def period(*names: str) -> float:
        name, value = text(*names)
        if not name:
            return BEACON_PERIOD
        found = _NUMBER.match(value)
        seconds = float(found[1]) if found else 0.0
        if seconds > 0 and math.isfinite(seconds):
            return seconds
        problems.append(
            f"{name}={_shown(value)} is not a number of seconds above 0:"
            f" {BEACON_PERIOD:g} is taken; correct or unset {name}"
        )
        return BEACON_PERIOD

    def yes(name: str) -> bool:
        value = variables.get(name, "").strip().upper()
        if value not in ("", "YES", "NO"):
            problems.append(
                f"{name}={_shown(variables[name])} is neither YES nor NO: it counts as"
                f" {'NO' if name.startswith('EPICS_CAS') or 'NO' in value else 'YES'}, as in EPICS"
                " base"
            )
        # Base has two readers: the server's looks for "yes", the client's for "no" anywhere.
        return value in ("", "YES") if name.startswith("EPICS_CAS") else "NO" not in value

    return EpicsVariables(
        server_port=port(None, "EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT"),
        client_port=port(SERVER_PORT, "EPICS_CA_SERVER_PORT") or SERVER_PORT,
        beacon_port=port(REPEATER_PORT, "EPICS_CAS_BEACON_PORT", "EPICS_CA_REPEATER_PORT")
        or REPEATER_PORT,
        beacon_period=period("EPICS_CAS_BEACON_PERIOD", "EPICS_CA_BEACON_PERIOD"),
        beacon_addresses=variables.get("EPICS_CAS_BEACON_ADDR_LIST", ""),
        auto_beacons=yes("EPICS_CAS_AUTO_BEACON_ADDR_LIST"),
        ignored=variables.get("EPICS_CAS_IGNORE_ADDR_LIST", ""),
        interfaces=_interfaces(variables.get("EPICS_CAS_INTF_ADDR_LIST", ""), problems),
        addresses=variables.get("EPICS_CA_ADDR_LIST", ""),
        auto_addresses=yes("EPICS_CA_AUTO_ADDR_LIST"),
        log_host=variables.get("EPICS_IOC_LOG_INET", "").strip(),
        log_port=port(LOG_PORT, "EPICS_IOC_LOG_PORT") or LOG_PORT,
        problems=tuple(dict.fromkeys(problems)),
    )


def _interfaces(text: str, problems: list[str]) -> tuple[str, ...]:
    """Return the entries that may be a host or an address; base ignores a port in them."""
    found: list[str] = []
    for entry in text.split():
        host = entry.partition(":")[0]
        if _HOST.fullmatch(host):
            found.append(host)
        else:
            problems.append(
                f"EPICS_CAS_INTF_ADDR_LIST: {_shown(entry)} is no address and no host name: it is"
                " left out; correct or remove it"
            )
    return tuple(found)


def _shown(value: str) -> str:
    return repr(value if len(value) <= SHOWN else f"{value[:SHOWN]}...")
