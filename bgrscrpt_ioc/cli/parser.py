"""What the command line looks like: commands, arguments, options; each setting is an option.

The options of `run` are made from the settings' models, which argparse can do and typer cannot.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.cli.options import Act
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.config.environment import literal
from bgrscrpt_ioc.host.streams import columns, complain

# The files of this room that have commands, in the order of `--help`, with the names of these.
GROUPS = {
    "service": ("run", "check"),
    "clients": (
        "status", "info", "log", "stack", "start", "stop", "restart", "autorestart", "registry",
    ),
    "reloading": ("reload",),
    "runs": ("history", "diff"),
    "notices": ("notify",),
    "deployment": ("deploy",),
    "shipped": ("db", "files", "completion"),
    "webpage": ("web",),
}  # fmt: skip


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read a command line; what stands behind `--` are the arguments of a script."""
    line = list(sys.argv[1:] if argv is None else argv)
    behind: list[str] = []
    if line[:1] in (["run"], ["check"]) and "--" in line:
        at = line.index("--")
        line, behind = line[:at], line[at + 1 :]
    arguments = parser(*line[:1]).parse_args(line)
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


def parser(command: str = "") -> argparse.ArgumentParser:
    """Make the parser; it leaves in `act` what to call, and None for what is not given.

    A `command` is to be the first word of the command line. Only the file that has this command is
    imported then. All files are imported for a word that is no command, such as `--help`.
    """
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

    groups = [name for name, commands in GROUPS.items() if command in commands]
    for name in groups or GROUPS:
        import_module(f"bgrscrpt_ioc.cli.{name}").add_commands(add)
    return top
