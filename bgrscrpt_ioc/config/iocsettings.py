"""What an IOC is told to do: its settings, its instances, and the names that follow from them.

Frozen values, as those of `config.settings`; this file reads nothing either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bgrscrpt_ioc.config.masking import masked
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.config.values import (
    AbsolutePath,
    CgroupPlace,
    Interfaces,
    Port,
    Prefix,
    RegistryUrl,
    WriteHost,
    some,
)

MAX_PV_NAME = 60  # EPICS base: PVNAME_STRINGSZ is 61, its NUL included
LONGEST_PV = "SCRIPT:CHANGED"  # of design's table; test_config holds it against records.py
LONGEST_PROCSERV_PV = "AUTORESTART"
PROCSERV_PREFIX = "CS:PS:"
LONGEST_IOCSTATS_PV = "DEVIOS:SUSP_TASK_CNT"
IOCSTATS_PREFIX = "CS:IOC:"


class IocSettings(BaseModel):
    """One IOC process: where it serves, what it keeps where, and its instances."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: Prefix = Field(default="", description="Prefix of all PV names (default: $MYPVPREFIX).")
    registry: RegistryUrl = Field(
        description="URL of the IOC registry (default: SQLite in the state directory)."
    )
    log_dir: AbsolutePath = Field(
        description="Directory of the scripts' log files (default: log in the state directory)."
    )
    state_dir: AbsolutePath = Field(
        description=(
            "Directory of the IOC's state, and the macro STATE (default: $ICPVARDIR/bgrscrpt, or"
            " else the user's own)."
        )
    )
    interfaces: Interfaces = Field(
        default=("127.0.0.1",),
        description=(
            "Addresses to serve on (default: $EPICS_CAS_INTF_ADDR_LIST, or else the loopback)."
        ),
    )
    port: Port = Field(
        default=5064,
        description=(
            "UDP port of searches, which other IOCs may share; also the TCP port, unless another"
            " IOC has it (default: $EPICS_CAS_SERVER_PORT, $EPICS_CA_SERVER_PORT, or else 5064)."
        ),
    )
    force: bool = Field(
        default=False,
        description=(
            "Whether the IOC starts even if another server answers for one of its PVs (default:"
            " false)."
        ),
    )
    asg: AbsolutePath | None = Field(
        default=None,
        description="EPICS access security file, which says who may do what (default: none).",
    )
    write_hosts: tuple[WriteHost, ...] = Field(
        default=(),
        description=(
            "Hosts or networks that may write, in addition to this host; ignored when `asg` is"
            " set (default: none)."
        ),
    )
    echo: bool = Field(
        default=True,
        description="Whether the IOC copies the scripts' output to its stdout (default: true).",
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description=(
            "Form of the IOC's log and of the scripts' output on stdout. Log files are always text"
            " (default: text)."
        ),
    )
    cgroup: CgroupPlace = Field(
        default="auto",
        description=(
            "Where to create a control group for each run: `auto` (if systemd delegates one),"
            " `off`, or a directory of cgroup v2 (default: auto)."
        ),
    )
    strict: bool = Field(
        default=False,
        description=(
            "Whether the IOC refuses scripts and a configuration that everybody on the host may"
            " change (default: false)."
        ),
    )
    instances: Annotated[tuple[InstanceSettings, ...], AfterValidator(some)]

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
        return masked(self.registry)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for key, value in super().__repr_args__():
            yield key, self.registry_shown if key == "registry" else value


def option(key: str) -> str:
    """The command-line option of a key; one that takes a list is given once for each entry."""
    return "--" + {"interfaces": "interface", "args": "arg", "write_hosts": "write-host"}.get(
        key, key
    ).replace("_", "-")


def pv_names(prefix: str, instance: InstanceSettings) -> Iterator[str]:
    """The longest PV name of each of the families that `instance` serves."""
    yield f"{prefix}{instance.name}:{LONGEST_PV}"
    if instance.procserv_pvs:
        yield f"{prefix}{PROCSERV_PREFIX}{instance.name}:{LONGEST_PROCSERV_PV}"
    if instance.iocstats_pvs:
        yield f"{prefix}{IOCSTATS_PREFIX}{instance.name}:{LONGEST_IOCSTATS_PV}"
