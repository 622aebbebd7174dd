"""The commands that ask an IOC that serves, or the registry: names, arguments, options."""

from __future__ import annotations

import argparse
from pathlib import Path

from bgrscrpt_ioc.cli import commands
from bgrscrpt_ioc.cli.address import WHERE
from bgrscrpt_ioc.cli.options import Add, add_file, count


def add_commands(add: Add) -> None:
    """Add the commands that ask an IOC that serves, or the registry."""
    status = add(
        "status",
        _status,
        "Show the states of instances: all of this host, or those of prefixes, FILE or a fleet.",
    )
    status.add_argument(
        "prefixes", metavar="PREFIX", nargs="*", help="Prefixes of the instances to show."
    )
    status.add_argument("--name", help="Name of the only instance to show.")
    status.add_argument(
        "--fleet", type=Path, metavar="FILE", help="TOML file that names IOCs by prefix and host."
    )
    status.add_argument(
        "--watch", action="store_true", help="Show the states as they change, failed ones first."
    )
    info = add("info", commands.info, "Print all readings of an instance, with the traceback.")
    info.add_argument("name", metavar="NAME")
    log = add("log", commands.log, "Print the newest output of a script.")
    log.add_argument("name", metavar="NAME")
    log.add_argument(
        "-f", "--follow", action="store_true", help="Print new output as it comes, until ^C."
    )
    log.add_argument(
        "-n",
        "--lines",
        type=count,
        metavar="N",
        help="Number of newest lines to print (default: 200).",
    )
    log.add_argument(
        "--since",
        metavar="TIME",
        help="Print lines since TIME: 10:30, '2026-11-28 10:30', or 30s, 15min, 2h, 1d ago.",
    )
    log.add_argument("--stamps", action="store_true", help="Print the time of each line.")
    stack = add(
        "stack",
        commands.stack,
        "Print where each thread of a running script is: file, line and function of each call.",
    )
    stack.add_argument("name", metavar="NAME")
    stack.add_argument(
        "--last",
        action="store_true",
        help="Print the newest stacks that the IOC has, such as those of a script that hung.",
    )
    stack.add_argument(
        "--timeout",
        type=float,
        default=30.0,
        metavar="S",
        help="Seconds to wait for the stacks (default: 30).",
    )
    for name, text in (
        ("start", "Start scripts; return when they run."),
        ("stop", "Stop scripts; return when all their processes have ended."),
        (
            "restart",
            "Restart scripts; a script that does not compile does not replace the running one.",
        ),
    ):
        command = add(name, commands.command, text)
        command.add_argument("names", metavar="NAME", nargs="+")
        command.add_argument(
            "--timeout",
            type=float,
            default=120.0,
            metavar="S",
            help="Seconds to wait for the command to complete (default: 120).",
        )
        if name != "stop":
            command.add_argument(
                "--settle",
                type=float,
                default=0.0,
                metavar="S",
                help="Seconds to watch the script after that, and fail if it ends (default: 0).",
            )
        add_file(command, *WHERE)
    autorestart = add(
        "autorestart",
        commands.autorestart,
        "Switch on or off that the IOC starts scripts again after a failure.",
    )
    autorestart.add_argument("names", metavar="NAME", nargs="+")
    autorestart.add_argument("switch", choices=("on", "off"), metavar="on|off")
    add_file(status, *WHERE)
    status.add_argument(
        "--registry", metavar="URL", help="URL of an IOC registry whose instances to show."
    )
    for command in (info, stack, autorestart):
        add_file(command, *WHERE)
    add_file(log, *WHERE, "log_dir", "state_dir")
    registry = add("registry", commands.registry, "Show the IOC registry.")
    add_file(registry, "registry", "state_dir")
    for command in (status, info, registry):
        command.add_argument("--json", action="store_true", help="Print JSON.")


def _status(arguments: argparse.Namespace) -> int:
    from bgrscrpt_ioc.cli.status import status  # it brings libca along

    return status(arguments)
