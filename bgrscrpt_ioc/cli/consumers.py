"""For whom `deploy` makes files, and what each of these consumers may be told."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.cli.options import add_file
from bgrscrpt_ioc.deploy.ibex import MOST, WINDOWS_PYTHON

ALL = "all"
CONSUMERS = {
    "systemd": "Make the unit by which systemd runs the IOC.",
    "procserv": "Make what procServ needs to run the IOC: a script, a unit, a manage-procs entry.",
    "ibex": "Make ISIS's boot directories of BGRSCRPT_01 and so on, in which the environment of the"
    " instrument is the whole configuration.",
    "container": "Make the Containerfile of an image that runs the IOC.",
    "kubernetes": "Make a StatefulSet of the IOC, and values for epics-containers' chart.",
    "screens": "Make an overview of the instances, a screen for Phoebus, and the screen that it"
    " opens.",
    "alarms": "Make the alarms of the instances, a component for the configuration of Phoebus's"
    " alarm server.",
    "archive": "Make the list of PVs that the Archiver Appliance is to archive.",
    "channelfinder": "Make the list of all PVs with their properties for ChannelFinder.",
    ALL: "Make all of these, each in a directory of its own.",
}
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of some consumers; `how`: what argparse is to know of it."""

    flag: str
    consumers: tuple[str, ...]
    help: str
    default: Any = None
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of its value."""
        return self.flag.removeprefix("--").replace("-", "_")

    def add_to(self, command: argparse.ArgumentParser) -> None:
        """Add it to a command."""
        shown = f" (default: {self.default})" if self.default else ""
        command.add_argument(
            self.flag, default=self.default, help=f"{self.help}{shown}.", **self.how
        )


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} should be a port, 1 to 65535")
    return int(text)


def _instances(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of instances, 1 to 99")
    return int(text)


def _user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} should be the name of a user")
    return text


OPTIONS = (
    Option(
        "--user",
        ("systemd", "procserv", ALL),
        "User that the IOC and the scripts run as",
        "bgrscrpt",
        {"type": _user, "metavar": "NAME"},
    ),
    Option(
        "--console-port",
        ("procserv", ALL),
        "TCP port of procServ's console",
        20001,
        {"type": _port, "metavar": "N"},
    ),
    Option(
        "--log",
        ("procserv", ALL),
        "Log file of procServ",
        Path("/var/log/bgrscrpt.log"),
        {"type": Path, "metavar": "FILE"},
    ),
    Option(
        "--instances",
        ("ibex", ALL),
        "Number of instances that have a boot directory",
        3,
        {"type": _instances, "metavar": "N"},
    ),
    Option(
        "--windows-python",
        ("ibex", ALL),
        "Python on Windows that the IOC is installed in",
        WINDOWS_PYTHON,
        {"metavar": "PATH"},
    ),
    Option(
        "--image",
        ("container", "kubernetes", ALL),
        "Name of the image",
        f"bgrscrpt-ioc:{__version__}",
        {"metavar": "IMAGE"},
    ),
    Option(
        "--ca",
        ("screens", "alarms", ALL),
        "Write `ca://` before each PV, if Phoebus's default protocol is another one",
        how={"action": "store_true"},
    ),
    Option(
        "--screen",
        ("alarms", ALL),
        "Path or URL of bgrscrpt.bob as Phoebus opens it, for the displays of the alarms",
        "",
        {"metavar": "PATH"},
    ),
    Option(
        "--merge",
        ("alarms",),
        "Exported configuration; print it with the component added or replaced",
        how={"type": Path, "metavar": "FILE"},
    ),
    Option(
        "--configuration",
        ("alarms",),
        "Name of a new configuration to print. Its import deletes everything else in ROOT."
        " Ignored with --merge",
        "",
        {"metavar": "ROOT"},
    ),
    Option(
        "--owner",
        ("channelfinder", ALL),
        "Owner of the PVs and properties in ChannelFinder",
        "cf-channels",
        {"metavar": "NAME"},
    ),
)


def add_consumers(command: argparse.ArgumentParser) -> None:
    """Add a command below `deploy` for each consumer."""
    consumers = command.add_subparsers(
        title="consumers",
        dest="consumer",
        required=True,
        metavar="CONSUMER",
        help="What the files are for.",
    )
    for consumer, text in CONSUMERS.items():
        below = consumers.add_parser(consumer, help=text, description=text, allow_abbrev=False)
        if consumer != "ibex":
            add_file(below, "prefix")
        below.add_argument(
            "--write",
            type=Path,
            metavar="DIR",
            help="Directory to write the files into, in place of printing them.",
        )
        below.add_argument(
            "--replace",
            action="store_true",
            help="With --write: replace files that exist with another content.",
        )
        for each in OPTIONS:
            if consumer in each.consumers:
                each.add_to(below)
            else:
                below.set_defaults(**{each.key: each.default})
