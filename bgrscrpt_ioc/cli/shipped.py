"""The commands that print what is installed: the EPICS database, files for other tools, completion.

They ask no IOC and need no settings.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import bgrscrpt_ioc
from bgrscrpt_ioc.cli.options import Add
from bgrscrpt_ioc.cli.printing import show, write
from bgrscrpt_ioc.lifecycle.events import CommandFailed

ROOT = Path(bgrscrpt_ioc.__file__).parent
SHIPPED = {
    "bgrscrpt.bob": ("db", "operator screen for Phoebus; macros P and NAME"),
    "bgrscrpt_overview.bob": ("db", "overview for Phoebus of BGRSCRPT_01 to _08; macro P"),
    "bgrscrpt.template": ("db", "EPICS database that describes the PVs of an instance"),
    "iocdb.sql": ("db", "tables of the IOC registry, for MySQL or MariaDB"),
    "scripts_examples": ("", "example scripts, and ISIS's popular scripts"),
}
SHELLS = ("bash", "zsh")


def database(_arguments: argparse.Namespace) -> int:
    """Print the EPICS database that describes the PVs of an instance."""
    from bgrscrpt_ioc.records.database import database

    write(database())
    return 0


def files(arguments: argparse.Namespace) -> int:
    """List the files that are installed for other tools, print the path of one, or copy some.

    Raises:
        CommandFailed: a file cannot be copied.
    """
    if arguments.write is not None:
        for name in [arguments.name] if arguments.name else SHIPPED:
            write(f"{_copy(place(name), arguments.write / name)}\n")
    elif arguments.name:
        write(f"{place(arguments.name)}\n")
    else:
        show(
            [
                {"name": name, "path": str(place(name)), "what it is": text}
                for name, (_, text) in SHIPPED.items()
            ],
            as_json=False,
        )
    return 0


def completion(arguments: argparse.Namespace) -> int:
    """Print the completion script of a shell."""
    import shtab

    from bgrscrpt_ioc.cli.parser import parser  # which imports this file

    top = parser()
    _complete_paths(top, shtab.FILE)
    write(shtab.complete(top, shell=arguments.shell) + "\n")
    return 0


def place(name: str) -> Path:
    """Return where a shipped file is: in the package, or in a source tree beside the package."""
    inside = Path(SHIPPED[name][0], name)
    installed = ROOT / inside
    return installed if installed.exists() else ROOT.parent / inside


def _copy(source: Path, target: Path) -> Path:
    import shutil  # imported here, because it imports all the archive formats

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
    except OSError as error:
        what = error.strerror or error
        raise CommandFailed(f"{target}: cannot be written: {what}; name another --write") from error
    return target


def _complete_paths(parser: argparse.ArgumentParser, how: Any) -> None:
    """Tell shtab which arguments are paths."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in dict.fromkeys(action.choices.values()):
                _complete_paths(each, how)
        elif action.type is Path or action.metavar == "PATH":
            vars(action)["complete"] = how


def add_commands(add: Add) -> None:
    """Add the commands that print what is installed."""
    add("db", database, "Print the EPICS database that describes the PVs of an instance.")
    command = add(
        "files",
        files,
        "List the installed files for other tools (screens, database, tables, examples), print"
        " the path of one, or copy them.",
    )
    command.add_argument(
        "name", nargs="?", metavar="FILE", choices=tuple(SHIPPED), help="Name of one of the files."
    )
    command.add_argument(
        "--write", type=Path, metavar="DIR", help="Directory to copy FILE, or all files, into."
    )
    shell = add(
        "completion",
        completion,
        "Print a completion script for a shell.",
    )
    shell.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS))
