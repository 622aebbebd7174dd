"""The commands `run` and `check`: serve the PVs, or report whether `run` would."""

from __future__ import annotations

import argparse
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bgrscrpt_ioc.cli.namesearch import NameSearch, search_for_instances
from bgrscrpt_ioc.cli.options import Add, add_file, add_settings
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.config.epicsvars import RESERVED, SERVER_PORT
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.load import FIRST, INSTANCE_KEYS, IOC_KEYS, load, open_config
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.lean import few_collections, without
from bgrscrpt_ioc.host.streams import complain

if TYPE_CHECKING:  # the server is imported late: a typo is told at once
    from bgrscrpt_ioc.ioc.source import Startup

PATIENCE = 0.5  # s that a file system has to say whether a script exists
INSTANCE = re.compile(r"[A-Z0-9_]+")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end; return the IOC's exit code."""
    # Before the server is imported, so that a typo is reported at once.
    settings = settings_of(arguments)
    if arguments.list_pvs:
        list_pvs(settings)
        return 0
    doubts(settings)
    say_missing(settings)
    warning = open_config(arguments.config, settings)
    # Answers come while the server is imported, which takes longer than they need.
    search = None if settings.force else search_for_instances(settings, os.environ)
    try:
        return server()(settings, warning, CommandLine(arguments, search))
    finally:
        if search:
            search.close()


class CommandLine:
    """Where the settings of an IOC come from, at its start and when it reads them again."""

    def __init__(self, arguments: argparse.Namespace, search: NameSearch | None) -> None:
        """Remember what `run` was called with, and the `search` that it has begun."""
        self._arguments, self._search = arguments, search

    @property
    def config(self) -> Path | None:
        """The file of settings, if there is one."""
        return self._arguments.config

    def refusal(self) -> str:
        """Say why the instances must not be served, or ""."""
        return self._search.refusal() if self._search else ""

    def read(self) -> tuple[IocSettings, str]:
        """Read the settings again, and say that others may change them, if they may.

        Raises:
            ConfigError: with every problem found.
        """
        settings = settings_of(self._arguments)
        return settings, open_config(self.config, settings)

    def taken(self, settings: IocSettings) -> str:
        """Ask the network for these instances; say why they must not be served, or ""."""
        search = search_for_instances(settings, os.environ)
        try:
            return search.refusal()
        finally:
            search.close()


def server() -> Callable[[IocSettings, str, Startup], int]:
    """Import what serves; asyncio without what encrypts, which nothing here does by it."""
    with few_collections():
        with without("ssl"):
            import asyncio  # noqa: F401
        from bgrscrpt_ioc.ioc.serve import serve

    return serve


def check(arguments: argparse.Namespace) -> int:
    """Report what would keep `run` from running the scripts; return 1 if there is anything.

    Instead of a script it takes the name of an instance that is served: its IOC then checks the
    script. A registry that does not answer causes only a warning, because scripts run without it.
    """
    if arguments.itself:
        from bgrscrpt_ioc.cli.selfcheck import self_check

        return self_check()
    script = arguments.script
    if script is not None and INSTANCE.fullmatch(str(script)) and not script.exists():
        from bgrscrpt_ioc.cli import commands

        return commands.recheck(arguments)
    settings = settings_of(arguments)
    open_config(arguments.config, settings)
    doubts(settings)
    from bgrscrpt_ioc.cli import checks
    from bgrscrpt_ioc.script import checker

    problems = [*checks.problems(settings), *checker.check(settings)]
    for problem in problems:
        complain(problem)
    for warning in checks.warnings(settings):
        complain(f"warning: {warning}")
    if problems:
        return 1
    for instance in settings.instances:
        write(f"{instance.name}: {instance.script}: good\n")
    return 0


def list_pvs(settings: IocSettings) -> None:
    """Print the names of all PVs that would be served."""
    from bgrscrpt_ioc.records.instance import InstanceRecords

    for each in settings.instances:
        records = InstanceRecords(
            settings.prefix,
            each.name,
            log_tail=each.log_tail,
            procserv_pvs=each.procserv_pvs,
            iocstats_pvs=each.iocstats_pvs,
        )
        write("".join(f"{name}\n" for name in records.by_full_name))


def doubts(settings: IocSettings) -> None:
    """Warn of settings that are allowed but are probably a mistake."""
    if settings.prefix and settings.prefix[-1].isalnum():
        first = f"{settings.prefix}{settings.instances[0].name}"
        complain(
            f"warning: prefix: {settings.prefix!r} has no separator at its end, such as ':': the"
            f" PVs are {first}:STATUS and so on"
        )
    if settings.port <= RESERVED:
        complain(
            f"warning: port: EPICS clients ignore a port of {RESERVED} or less in"
            f" EPICS_CA_SERVER_PORT and search at {SERVER_PORT} instead: set a port above"
            f" {RESERVED}, or let clients name it as HOST:{settings.port} in EPICS_CA_ADDR_LIST"
        )


def say_missing(settings: IocSettings) -> None:
    """Warn of scripts that do not exist, and say what the IOC does then.

    A file system that hangs must not keep the IOC from serving, so it has only a moment to answer.
    """
    missing: list[InstanceSettings] = []

    def look() -> None:
        missing.extend(each for each in settings.instances if not os.path.lexists(each.script))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(PATIENCE)
    for each in tuple(missing):
        complain(
            f"warning: {each.name}: script: {each.script} does not exist; {_what_then(each)}."
            " Create the file, or end the IOC and correct the path"
        )


def _what_then(instance: InstanceSettings) -> str:
    serves = "the IOC serves the PVs all the same"
    if instance.at_start == "stop":
        return f"{serves}, and START fails until the file is there"
    if instance.restart == "never" or not instance.autorestart:
        return f"{serves}, and waits for a START"
    tries = f"tries to start the script again after {instance.backoff:g} s and at growing intervals"
    if instance.start_limit:
        return f"{serves}, and {tries}, {instance.start_limit} times in all"
    return f"{serves}, and {tries}"


def settings_of(arguments: argparse.Namespace) -> IocSettings:
    """Return the IOC's settings from the command line, a file and the environment.

    Raises:
        ConfigError: with every problem found.
    """
    given = {key: getattr(arguments, key, None) for key in IOC_KEYS | INSTANCE_KEYS - {"script"}}
    for table in ("env", "path_map", "links", "notify"):
        if (entries := given[table]) is not None:
            given[table] = dict(entries)
    return load(arguments.config, arguments.script, arguments.name, given, os.environ)


def add_commands(add: Add) -> None:
    """Add the commands `run` and `check`."""
    serve = add(
        "run",
        run,
        "Serve the PVs and run the scripts, in the foreground, until SIGTERM or ^C.",
    )
    try_it = add(
        "check",
        check,
        "Check everything that `run` needs: settings, access file, directories, each script."
        " With the NAME of an instance instead of a script, ask its IOC to check its script.",
    )
    try_it.add_argument(
        "--self",
        action="store_true",
        dest="itself",
        help="Try what the IOC needs of this machine, such as processes and locks, and print"
        " what works. Serve nothing, and ignore all other options.",
    )
    _add_options(serve, try_it)


def _add_options(*pair: argparse.ArgumentParser) -> None:
    """Add the options of `run` and of `check`, which are the same except for one."""
    run = pair[0]
    for command in pair:
        command.add_argument(
            "script",
            nargs="?",
            type=Path,
            metavar="SCRIPT",
            help="Script to run, if there is one instance; its arguments come last, after `--`.",
        )
        add_file(command)
        command.add_argument(
            "--name", help=f"Name of the only instance to serve (default: {FIRST}, or all of FILE)."
        )
        if command is run:
            command.add_argument(
                "--list-pvs", action="store_true", help="Print the names of all PVs, and end."
            )
        add_settings(command.add_argument_group("the IOC"), IocSettings, IOC_KEYS)
        add_settings(
            command.add_argument_group("the instance, if there is only one"),
            InstanceSettings,
            INSTANCE_KEYS - {"script"},
        )
