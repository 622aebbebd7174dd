"""What the command line looks like: commands, arguments, options; each setting is an option.

The options of `run` are made from the settings' models, which argparse can do and typer cannot.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.cli import (
    commands,
    deployment,
    notices,
    reloading,
    runs,
    service,
    shipped,
    webpage,
)
from bgrscrpt_ioc.cli.address import WHERE
from bgrscrpt_ioc.cli.options import Act, Add, add_file, count
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.config.environment import literal
from bgrscrpt_ioc.host.streams import columns, complain


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line; what stands behind `--` are the arguments of a script."""
    line = list(sys.argv[1:] if argv is None else argv)
    behind: list[str] = []
    if line[:1] in (["run"], ["check"]) and "--" in line:
        at = line.index("--")
        line, behind = line[:at], line[at + 1 :]
    arguments = parser().parse_args(line)
    if behind:
        arguments.args = [*(arguments.args or ()), *map(literal, behind)]
    return arguments


class _Parser(argparse.ArgumentParser):
    """A parser whose help is printed as all else is: argparse hides that it could not be."""

    def __init__(self, **options: Any) -> None:
        """Make a parser as argparse does; its default formatter would import shutil."""
        super().__init__(formatter_class=_formatter, **options)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stdout:
            write(message)
        else:
            complain(message.removesuffix("\n"))


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, width=columns(sys.stdout) - 2)


def parser() -> argparse.ArgumentParser:
    """Make the parser; it leaves in `act` what to call, and None for what is not given."""
    top = _Parser(
        prog="bgrscrpt-ioc",
        description="Runs an instrument's background scripts under EPICS control.",
        epilog="Settings come from the command line, --config FILE (TOML) and the environment.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    group = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, act: Act, text: str) -> argparse.ArgumentParser:
        command = group.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(act=act, command=name)
        return command

    service.add_commands(add)
    _add_clients(add)
    reloading.add_commands(add)
    runs.add_commands(add)
    notices.add_commands(add)
    deployment.add_commands(add)
    shipped.add_commands(add, parser)
    webpage.add_commands(add)
    return top


def _add_clients(add: Add) -> None:
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
