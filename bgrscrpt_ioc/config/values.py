"""The types of values that settings have, with the check of each.

Each function returns its value, or raises ValueError with what is wrong and what should be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field

from bgrscrpt_ioc.config.weblinks import ROOM, as_lines, link_problem

MIN_FILES = 16  # with fewer open files no interpreter starts

_PREFIX = re.compile(r"[A-Za-z0-9_\-+:\[\]<>;]*")  # what EPICS allows in a record's name
_NAME = re.compile(r"[A-Z0-9_]+")
_URLS = ("sqlite:///", "mysql+pymysql://", "mariadb+pymysql://")


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which no path, argument or variable can")
    return text


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"is {value}, should be a number")  # noqa: TRY004 - pydantic passes a TypeError through
    return value


def _absolute(path: Path) -> Path:
    _no_nul(str(path))
    if not path.is_absolute():
        raise ValueError("should be an absolute path")
    return path


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError(
            f"is {text!r}, should hold only what a PV name may: A-Z a-z 0-9 _ - + : [ ] < > ;"
        )
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"instance name {text!r} should be of A-Z, 0-9 and _ only, like BGRSCRPT_01"
        )
    return text


def _registry(url: str) -> str:
    if not url.startswith(_URLS):  # the message does not show the URL, because of its password
        raise ValueError(f"should be a database URL that starts with {' or '.join(_URLS)}")
    return url


def _interface(address: str) -> str:
    if not address or re.search(r"[\s:]", address):
        raise ValueError(
            f"{address!r} should be one IPv4 address or host name; its port goes to 'port'"
        )
    return address


def _write_host(host: str) -> str:
    if not host or re.search(r"\s", host):
        raise ValueError(f"{host!r} should be one host name, address or network")
    if "/" in host:
        from ipaddress import ip_network  # imported here, because few settings have networks

        try:
            ip_network(host, strict=False)
        except ValueError as error:
            raise ValueError(f"{host!r} should be a network, like 192.0.2.0/24") from error
    return host


def _links(links: Mapping[str, str]) -> Mapping[str, str]:
    for name, address in links.items():
        if problem := link_problem(name, address):
            raise ValueError(problem)
    if len(as_lines(links).encode()) >= ROOM:
        raise ValueError(f"has more than the {ROOM - 1} bytes that the PV LINKS holds")
    return links


def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("is empty, should have at least one entry")
    return values


def _enough_files(number: int) -> int:
    if number and number < MIN_FILES:
        raise ValueError(f"is {number}, should be 0 (no limit) or at least {MIN_FILES}")
    return number


def _cgroup(text: str) -> str:
    if text not in ("auto", "off") and not text.startswith("/"):
        raise ValueError(f'is {text!r}, should be "auto", "off" or an absolute path')
    return _no_nul(text)


def _variable(name: str) -> str:
    if not name or "=" in name:
        raise ValueError(f"{name!r} cannot be the name of an environment variable")
    return _no_nul(name)


def _module(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} should be the name of a module, like numpy or os.path")
    return name


def _stop_signal(name: str) -> str:
    if name != "SIGINT":
        # Imported here, because few settings use it.
        from bgrscrpt_ioc.host.system import STOP_SIGNALS

        if name not in STOP_SIGNALS:
            known = " or ".join(STOP_SIGNALS)
            raise ValueError(f"is {name}, which this system does not have; set it to {known}")
    return name


def _windows(path: str) -> str:
    if not re.match(r"[A-Za-z]:[\\/]", path) or re.search(
        r'[\0<>:"|?*]|(^|[\\/])\.\.?([\\/]|$)', path[2:]
    ):
        raise ValueError(
            rf"'{path}' should be an absolute path of Windows, like C:\Instrument, in single quotes"
        )
    return path


ModuleName = Annotated[str, AfterValidator(_module)]
Text = Annotated[str, AfterValidator(_no_nul)]
Interface = Annotated[str, AfterValidator(_interface)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Seconds = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False, ge=0)]
Command = Annotated[tuple[Annotated[str, AfterValidator(_no_nul)], ...], AfterValidator(some)]
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False, ge=0)]
Bytes = Annotated[ByteSize, BeforeValidator(_no_bool), Field(ge=0)]
Files = Annotated[int, BeforeValidator(_no_bool), Field(ge=0), AfterValidator(_enough_files)]
Nice = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=19)]
TailSize = Annotated[int, BeforeValidator(_no_bool), Field(ge=100, le=10_000_000)]
Port = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)]
Prefix = Annotated[str, AfterValidator(_prefix)]
InstanceName = Annotated[str, AfterValidator(_name)]
VariableName = Annotated[str, AfterValidator(_variable)]
WindowsPath = Annotated[str, AfterValidator(_windows)]
StopSignal = Annotated[Literal["SIGINT", "SIGTERM"], AfterValidator(_stop_signal)]
RegistryUrl = Annotated[Text, AfterValidator(_registry)]
Links = Annotated[Mapping[str, str], AfterValidator(_links)]
WriteHost = Annotated[Text, AfterValidator(_write_host)]
CgroupPlace = Annotated[Text, AfterValidator(_cgroup)]
Interfaces = Annotated[tuple[Interface, ...], AfterValidator(some)]
