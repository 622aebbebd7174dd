"""What an IOC and its instances are told to do: names, kinds, defaults and limits of every setting.

Frozen values. Where they come from is load.py's business; nothing here reads a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    model_validator,
)

from bgrscrpt_ioc.events import Policy
from bgrscrpt_ioc.limits import Limits

MAX_PV_NAME = 60  # EPICS base: PVNAME_STRINGSZ is 61, its NUL included
LONGEST_PV = "SCRIPT:CHANGED"  # of design's table; test_config holds it against records.py
LONGEST_PROCSERV_PV = "AUTORESTART"
PROCSERV_PREFIX = "CS:PS:"
MIN_FILES = 16  # open files without which no interpreter starts

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
    if not url.startswith(_URLS):  # and the text, with its password, is not shown
        raise ValueError(f"should be a database URL that starts with {' or '.join(_URLS)}")
    return url


def _interface(address: str) -> str:
    if not address or re.search(r"[\s:]", address):
        raise ValueError(
            f"{address!r} should be one IPv4 address or host name; its port goes to 'port'"
        )
    return address


def _some(values: tuple[Any, ...]) -> tuple[Any, ...]:
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
Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]


class InstanceSettings(BaseModel):
    """One instance: a script, how it is run, and when it is started again. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_name)]
    script: AbsolutePath = Field(description="the script to run")
    python: Path = Field(description="its interpreter [this one]")
    python_path: tuple[AbsolutePath, ...] = Field(
        default=(), description="its import path [$PYTHONPATH]"
    )
    cwd: AbsolutePath = Field(description="its working directory [the script's own]")
    env: Mapping[Annotated[str, AfterValidator(_variable)], Text] = Field(
        default_factory=dict, description="added to its environment"
    )
    args: tuple[Text, ...] = Field(default=(), description="its sys.argv[1:]")
    path_map: Mapping[Annotated[str, AfterValidator(_windows)], AbsolutePath] = Field(
        default_factory=dict,
        description="what Windows paths in it mean: { 'C:\\Instrument' = \"/opt/instrument\" }",
    )

    warm_spare: bool = Field(
        default=False, description="keep an interpreter started for the next start"
    )
    preload: tuple[ModuleName, ...] = Field(
        default=(), description="modules that the spare interpreter has imported"
    )

    at_start: Literal["run", "last", "stop"] = Field(
        default="run",
        description="what a starting IOC does: run it, leave it as it was last, or not run it",
    )
    autorestart: bool = Field(default=True, description="AUTORESTART until a client has set it")
    restart: Literal["on-failure", "always", "never"] = Field(
        default="on-failure", description="which exits are followed by a new start"
    )
    backoff: Seconds = Field(
        default=1.0, description="s before the first restart; doubles from there"
    )
    backoff_max: Seconds = Field(default=60.0, description="s between restarts at most")
    healthy_after: Seconds = Field(
        default=60.0, description="s of running after which failures are forgotten"
    )
    start_limit: Count = Field(
        default=5, description="failures in a row until it stays down; 0: no limit"
    )
    start_timeout: Seconds = Field(
        default=60.0, description="s to the script's first line; 0: no limit"
    )
    stop_timeout: Seconds = Field(default=5.0, description="s from SIGINT to SIGTERM to SIGKILL")
    heartbeat_timeout: Seconds = Field(
        default=0.0, description="s between alive() calls; 0: not watched"
    )
    restart_when_hung: bool = Field(
        default=False, description="restart it when it misses its heartbeat"
    )

    memory_max: Annotated[ByteSize, BeforeValidator(_no_bool), Field(ge=0)] = Field(
        default=ByteSize(0), description='memory of its whole tree, "512M", "2GiB"; 0: no limit'
    )
    cpu_max: Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False, ge=0)] = Field(
        default=0.0, description="% of one core for its whole tree, 200: two cores; 0: no limit"
    )
    nproc_max: Count = Field(
        default=0, description="processes and threads of its whole tree; 0: no limit"
    )
    nofile_max: Annotated[
        int, BeforeValidator(_no_bool), Field(ge=0), AfterValidator(_enough_files)
    ] = Field(
        default=0, description="open files of each of its processes, at least 16; 0: no limit"
    )
    nice: Annotated[int, BeforeValidator(_no_bool), Field(ge=0, le=19)] = Field(
        default=0, description="how much it yields to other processes, 0 to 19"
    )

    procserv_pvs: bool = Field(
        default=False, description="also answer to procServControl's PV names"
    )
    log_tail: Annotated[int, BeforeValidator(_no_bool), Field(ge=100, le=10_000_000)] = Field(
        default=16000, description="bytes of output in the LOG PV"
    )
    log_keep_days: Count = Field(
        default=90, description="days that log files are kept; 0: no limit"
    )
    log_keep_mb: Count = Field(
        default=1000, description="MB of log files that are kept; 0: no limit"
    )

    @model_validator(mode="after")
    def _backoff_in_order(self) -> Self:
        if self.backoff > self.backoff_max:
            raise ValueError(
                f"backoff: is {self.backoff:g}, more than backoff_max = {self.backoff_max:g};"
                " lower it or raise backoff_max"
            )
        return self

    @model_validator(mode="after")
    def _path_map_is_clear(self) -> Self:
        known: dict[str, str] = {}
        for windows in self.path_map:
            plain = re.sub(r"[\\/]+", r"\\", windows).rstrip("\\").lower()
            if plain in known:
                raise ValueError(
                    f"path_map: '{known[plain]}' and '{windows}' are one directory; keep one of"
                    " the two"
                )
            known[plain] = windows
        return self

    @model_validator(mode="after")
    def _preload_has_a_spare(self) -> Self:
        if self.preload and not self.warm_spare:
            raise ValueError("preload: is for the spare interpreter; add warm_spare = true")
        return self

    @property
    def limits(self) -> Limits:
        """The part of the settings that the run is held to."""
        return Limits(int(self.memory_max), self.cpu_max, self.nproc_max, self.nofile_max)

    @property
    def policy(self) -> Policy:
        """The part of the settings that the lifecycle decides by."""
        return Policy(
            restart=self.restart,
            backoff=self.backoff,
            backoff_max=self.backoff_max,
            healthy_after=self.healthy_after,
            start_limit=self.start_limit,
            start_timeout=self.start_timeout,
            stop_timeout=self.stop_timeout,
            heartbeat_timeout=self.heartbeat_timeout,
            restart_when_hung=self.restart_when_hung,
        )


class IocSettings(BaseModel):
    """One IOC process: where it serves, what it keeps where, and its instances."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        default="", description="of all PVs [$MYPVPREFIX]"
    )
    registry: Annotated[Text, AfterValidator(_registry)] = Field(
        description="URL of the IOC registry [SQLite in the state directory]"
    )
    log_dir: AbsolutePath = Field(description="where the scripts' output is kept")
    state_dir: AbsolutePath = Field(description="where the IOC keeps its state; the macro STATE")
    interfaces: Annotated[tuple[Interface, ...], AfterValidator(_some)] = Field(
        default=("127.0.0.1",),
        description="address to serve on [$EPICS_CAS_INTF_ADDR_LIST, loopback]",
    )
    port: Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)] = Field(
        default=5064, description="Channel Access port [$EPICS_CAS_SERVER_PORT]"
    )
    asg: AbsolutePath | None = Field(
        default=None, description="EPICS access security file: who may do what"
    )
    write_hosts: tuple[Text, ...] = Field(
        default=(), description="without one: who may write, beside this host; 192.0.2.0/24 too"
    )
    fast_reads: bool = Field(
        default=True, description="answer a get without caproto where its answer is at hand"
    )
    echo: bool = Field(default=True, description="copy the scripts' output to stdout")
    cgroup: Annotated[Text, AfterValidator(_cgroup)] = Field(
        default="auto",
        description="runs have cgroups of their own: where systemd delegates, never, or in PATH",
    )
    strict: bool = Field(
        default=False,
        description="refuse scripts and a configuration that anybody may change",
    )
    instances: Annotated[tuple[InstanceSettings, ...], AfterValidator(_some)]

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [instance.name for instance in self.instances]
        if len(set(names)) < len(names):
            raise ValueError(f"instances: two have one name: {', '.join(names)}")
        for instance in self.instances:
            longest = max(pv_names(self.prefix, instance), key=len)
            if len(longest) > MAX_PV_NAME:
                raise ValueError(
                    f"prefix: {longest!r} would have {len(longest)} characters, EPICS allows"
                    f" {MAX_PV_NAME}; shorten the prefix or the instance's name"
                )
        return self

    @property
    def registry_shown(self) -> str:
        """The registry's URL without its password, for people and logs."""
        return re.sub(r"(://[^:/@]*:).*(@)", r"\1***\2", self.registry)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for key, value in super().__repr_args__():
            yield key, self.registry_shown if key == "registry" else value


def option(key: str) -> str:
    """The command-line option of a key; one that takes a list is given once for each entry."""
    return "--" + {"interfaces": "interface", "args": "arg", "write_hosts": "write-host"}.get(
        key, key
    ).replace("_", "-")


def pv_names(prefix: str, instance: InstanceSettings) -> Iterator[str]:
    """The longest PV name of each of the two families that `instance` serves."""
    yield f"{prefix}{instance.name}:{LONGEST_PV}"
    if instance.procserv_pvs:
        yield f"{prefix}{PROCSERV_PREFIX}{instance.name}:{LONGEST_PROCSERV_PV}"
