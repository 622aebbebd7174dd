"""What an instance is told to do: names, kinds, defaults and limits of every setting of it.

Frozen values. `config.load` reads them from files, options and the environment; this file reads
nothing. `config.iocsettings` has the settings of the IOC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from bgrscrpt_ioc.config.values import (
    AbsolutePath,
    Bytes,
    Command,
    Count,
    Files,
    InstanceName,
    Links,
    ModuleName,
    Nice,
    Number,
    Seconds,
    StopSignal,
    TailSize,
    Text,
    VariableName,
    WindowsPath,
)
from bgrscrpt_ioc.lifecycle.events import Policy
from bgrscrpt_ioc.limits.limits import Limits


class InstanceSettings(BaseModel):
    """One instance: its script, how to run it, and when to start it again. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: InstanceName
    script: AbsolutePath = Field(description="Path of the script to run.")
    python: Path = Field(description="Interpreter that runs the script (default: the IOC's own).")
    python_path: tuple[AbsolutePath, ...] = Field(
        default=(),
        description=(
            "Directories on the script's import path, after the script's own (default:"
            " $PYTHONPATH)."
        ),
    )
    cwd: AbsolutePath = Field(
        description="Working directory of the script (default: the script's own directory)."
    )
    env: Mapping[VariableName, Text] = Field(
        default_factory=dict,
        description="Variables to add to the script's environment (default: none).",
    )
    args: tuple[Text, ...] = Field(
        default=(), description="Arguments of the script, its sys.argv[1:] (default: none)."
    )
    path_map: Mapping[WindowsPath, AbsolutePath] = Field(
        default_factory=dict,
        description=(
            "Directories that stand for Windows paths in the script, such as { 'C:\\Instrument' ="
            ' "/opt/instrument" } (default: none).'
        ),
    )

    preload: tuple[ModuleName, ...] = Field(
        default=(),
        description=(
            "Modules that a RESTART imports before it stops the running script (default: none)."
        ),
    )

    at_start: Literal["run", "last", "stop"] = Field(
        default="run",
        description=(
            "What the IOC does with the script at the IOC's own start: run the script, leave it"
            " as it was last, or leave it stopped (default: run)."
        ),
    )
    autorestart: bool = Field(
        default=True, description="Value of AUTORESTART until a client has set it (default: true)."
    )
    restart: Literal["on-failure", "always", "never"] = Field(
        default="on-failure",
        description="Which ends of a run are followed by a new start (default: on-failure).",
    )
    backoff: Seconds = Field(
        default=1.0,
        description=(
            "Seconds before the first automatic restart; each failure in a row doubles them"
            " (default: 1)."
        ),
    )
    backoff_max: Seconds = Field(
        default=60.0, description="Seconds between two automatic restarts, at most (default: 60)."
    )
    healthy_after: Seconds = Field(
        default=60.0,
        description=(
            "Seconds of running after which the IOC forgets earlier failures (default: 60)."
        ),
    )
    start_limit: Count = Field(
        default=5,
        description=(
            "Number of failures in a row after which the script stays down; 0: no limit (default:"
            " 5)."
        ),
    )
    start_timeout: Seconds = Field(
        default=60.0,
        description=(
            "Seconds from the launch to the script's first line, at most; 0: no limit (default:"
            " 60)."
        ),
    )
    stop_signal: StopSignal = Field(
        default="SIGINT", description="Signal that asks the script to end (default: SIGINT)."
    )
    stop_timeout: Seconds = Field(
        default=5.0,
        description=(
            "Seconds from `stop_signal` to SIGTERM, and from SIGTERM to SIGKILL (default: 5)."
        ),
    )
    thread_death: Literal["alarm", "fail", "ignore"] = Field(
        default="alarm",
        description=(
            "What the IOC does when a thread or an asyncio task of the script dies of an"
            " exception: set an alarm, fail the run, or ignore it (default: alarm)."
        ),
    )
    heartbeat_timeout: Seconds = Field(
        default=0.0,
        description="Seconds between two alive() calls, at most; 0: not watched (default: 0).",
    )
    restart_when_hung: bool = Field(
        default=False,
        description="Whether the IOC restarts a script that misses its heartbeat (default: false).",
    )

    notify: Mapping[Literal["on_failure", "on_gave_up", "on_hung", "on_recovery"], Command] = Field(
        default_factory=dict,
        description=(
            "Commands that tell people, run without a shell: on_failure, on_gave_up (if not set:"
            " on_failure), on_hung, on_recovery (default: none)."
        ),
    )
    links: Links = Field(
        default_factory=dict,
        description="Web pages of the script, by name, for links on the web page (default: none).",
    )
    on_change: Literal["off", "check", "restart"] = Field(
        default="off",
        description=(
            "What the IOC does when the script's file has changed and then stayed the same for"
            " 2 s: nothing, a check, or a check and a restart (default: off)."
        ),
    )

    memory_max: Bytes = Field(
        default=ByteSize(0),
        description=(
            "Bytes of memory of all processes of the script, at most, such as 512M or 2GiB; 0: no"
            " limit (default: 0)."
        ),
    )
    cpu_max: Number = Field(
        default=0.0,
        description=(
            "Percent of one core for all processes of the script, at most; 200 is two cores; 0:"
            " no limit (default: 0)."
        ),
    )
    nproc_max: Count = Field(
        default=0,
        description=(
            "Number of processes and threads of the script, at most; 0: no limit (default: 0)."
        ),
    )
    nofile_max: Files = Field(
        default=0,
        description=(
            "Number of open files of each process of the script, at most; 16 or more; 0: no limit"
            " (default: 0)."
        ),
    )
    nice: Nice = Field(
        default=0,
        description=(
            "Niceness of the script, from 0 to 19; a higher number leaves more processor time to"
            " other processes (default: 0)."
        ),
    )

    procserv_pvs: bool = Field(
        default=False,
        description="Whether the IOC also answers to procServControl's PV names (default: false).",
    )
    iocstats_pvs: bool = Field(
        default=False,
        description="Whether the IOC also answers to devIocStats' PV names (default: false).",
    )
    log_tail: TailSize = Field(
        default=16000, description="Bytes of output that the PV LOG shows (default: 16000)."
    )
    log_keep_days: Count = Field(
        default=90, description="Days that log files are kept; 0: no limit (default: 90)."
    )
    log_keep_mb: Count = Field(
        default=1000,
        description="Megabytes of log files that are kept; 0: no limit (default: 1000).",
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

    @property
    def limits(self) -> Limits:
        """Return the settings that limit a run."""
        return Limits(int(self.memory_max), self.cpu_max, self.nproc_max, self.nofile_max)

    @property
    def policy(self) -> Policy:
        """Return the settings by which the lifecycle decides."""
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
            thread_death=self.thread_death,
        )
