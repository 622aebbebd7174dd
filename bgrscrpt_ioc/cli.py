"""The command line, `bgrscrpt-ioc`: reads options, prints, gives the exit code.

Must start fast (`run` stands in boot sequences), so each command imports only what it needs. The
options of `run` are made from the settings' models, which argparse can do and typer cannot.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.config.load import (
    FIRST,
    INSTANCE_KEYS,
    IOC_KEYS,
    ConfigError,
    load,
    open_config,
)
from bgrscrpt_ioc.config.settings import InstanceSettings, IocSettings, option
from bgrscrpt_ioc.events import CommandFailed
from bgrscrpt_ioc.lean import without

WRONG_USE = 2  # exit code of a command or configuration that cannot be understood
INTERRUPTED = 130  # as shells say it of SIGINT
_Model = type[IocSettings] | type[InstanceSettings]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.act(arguments)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG_USE
    except CommandFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


# --- the commands --------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)  # before the server is imported: a typo is told at once
    warning = open_config(arguments.config, settings)
    return server()(settings, arguments.list_pvs, warning)


def server() -> Callable[[IocSettings, bool, str], int]:
    """Import what serves; asyncio without what encrypts, which nothing here does by it."""
    with without("ssl"):
        import asyncio  # noqa: F401
    from bgrscrpt_ioc.ioc import serve

    return serve


def _check(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    open_config(arguments.config, settings)
    from bgrscrpt_ioc.checker import check

    problems = check(settings)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    for instance in settings.instances:
        print(f"{instance.name}: {instance.script}: good")
    return 0


def _command(arguments: argparse.Namespace) -> int:
    from bgrscrpt_ioc import client

    settings = _addressed(arguments, arguments.names)
    failures = 0
    for name in arguments.names:
        try:
            client.command(settings, name, arguments.command.upper(), arguments.timeout)
        except CommandFailed as error:
            failures += 1
            print(f"{name}: {arguments.command}: {error}", file=sys.stderr)
    return 1 if failures else 0


def _status(arguments: argparse.Namespace) -> int:
    from bgrscrpt_ioc import client

    settings = _addressed(arguments, [arguments.name] if arguments.name else [])
    rows = client.status(settings, [each.name for each in settings.instances])
    client.show(rows, as_json=arguments.json)
    if missing := [f"{settings.prefix}{row['NAME']}" for row in rows if row["STATUS"] is None]:
        raise CommandFailed(client.not_found(", ".join(missing)))
    return 0


def _log(arguments: argparse.Namespace) -> int:
    from bgrscrpt_ioc import client

    settings = _addressed(arguments, [arguments.name])
    client.log(settings, arguments.name, follow=arguments.follow)
    return 0


def _registry(arguments: argparse.Namespace) -> int:
    from bgrscrpt_ioc import client
    from bgrscrpt_ioc.registry.dbtrouble import RegistryError
    from bgrscrpt_ioc.registry.registry import read_table

    settings = _addressed(arguments, [])
    try:
        rows = read_table(settings.registry)
    except RegistryError as error:
        raise CommandFailed(f"registry: {error}") from error
    client.show([asdict(row) for row in rows], as_json=arguments.json)
    return 0


def _db(_arguments: argparse.Namespace) -> int:
    from bgrscrpt_ioc.ca.dbfile import database

    sys.stdout.write(database())
    return 0


# --- what they are told --------------------------------------------------------------------------


def _settings(arguments: argparse.Namespace) -> IocSettings:
    given = {key: getattr(arguments, key, None) for key in IOC_KEYS | INSTANCE_KEYS - {"script"}}
    for table in ("env", "path_map"):
        if (entries := given[table]) is not None:
            given[table] = dict(entries)
    return load(arguments.config, arguments.script, arguments.name, given, os.environ)


def _addressed(arguments: argparse.Namespace, names: Sequence[str]) -> IocSettings:
    """The settings that say where an IOC is, and which instances it has; `names` are checked.

    Their scripts are of no matter here and may be unknown, so any directory will do for them.
    """
    overrides = {key: getattr(arguments, key, None) for key in IOC_KEYS}
    environ = {**os.environ, "ICPINSTSCRIPTROOT": os.environ.get("ICPINSTSCRIPTROOT") or "/"}
    loaded = [load(arguments.config, None, name, overrides, environ) for name in names or [None]]
    return loaded[0]


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} should be NAME=VALUE")
    return name, value


# --- the parser ----------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """Make the parser; it leaves in `act` what to call, and None for what is not given."""
    top = argparse.ArgumentParser(
        prog="bgrscrpt-ioc",
        description="Runs an instrument's background scripts under EPICS control.",
        epilog="Settings come from the command line, --config FILE (TOML) and the environment.",
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, act: Callable[[argparse.Namespace], int], text: str) -> Any:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(act=act, command=name)
        return command

    for name, act, text in (
        ("run", _run, "Serve the PVs and run the scripts, in the foreground, until SIGTERM or ^C."),
        ("check", _check, "Check settings, and compile each script with its interpreter."),
    ):
        command = add(name, act, text)
        command.add_argument("script", nargs="?", type=Path, help="the script, when there is one")
        _add_file(command)
        command.add_argument("--name", help=f"the one instance to serve [{FIRST}, or all of FILE]")
        if name == "run":
            command.add_argument("--list-pvs", action="store_true", help="print the PVs' names")
        _add_options(command.add_argument_group("the IOC"), IocSettings, IOC_KEYS)
        _add_options(
            command.add_argument_group("the instance, when there is one"),
            InstanceSettings,
            INSTANCE_KEYS - {"script"},
        )

    status = add("status", _status, "Show the state of each instance.")
    status.add_argument("--name", help=f"the instance [{FIRST}, or all of FILE]")
    log = add("log", _log, "Print the newest output of a script.")
    log.add_argument("name", metavar="NAME")
    log.add_argument("-f", "--follow", action="store_true", help="and what comes, until ^C")
    for name, text in (
        ("start", "Start scripts; returns when they run."),
        ("stop", "Stop scripts; returns when nothing of them is alive."),
        ("restart", "Restart scripts; one that does not compile leaves the old one running."),
    ):
        command = add(name, _command, text)
        command.add_argument("names", metavar="NAME", nargs="+")
        command.add_argument(
            "--timeout", type=float, default=120.0, metavar="S", help="wait so long [120]"
        )
        _add_file(command, "prefix", "interfaces", "port")
    for command in (status, log):
        _add_file(command, "prefix", "interfaces", "port")
    registry = add("registry", _registry, "Show the IOC registry.")
    _add_file(registry, "registry", "state_dir")
    for command in (status, registry):
        command.add_argument("--json", action="store_true", help="as JSON")
    add("db", _db, "Print the EPICS database that describes the PVs of an instance.")
    return top


def _add_file(command: Any, *keys: str) -> None:
    command.add_argument("--config", type=Path, metavar="FILE", help="settings, TOML")
    _add_options(command, IocSettings, keys)


def _add_options(group: Any, model: _Model, keys: Collection[str]) -> None:
    """One option for each of `keys`, in the model's order; what a value may be, the model says."""
    for key, field in model.model_fields.items():
        if key in keys:
            text = field.description or ""
            if isinstance(field.default, (str, int, float)) and type(field.default) is not bool:
                text += f" [{field.default}]" if field.default else ""
            how = _how(field.annotation)
            group.add_argument(option(key), dest=key, default=None, help=text, **how)


def _how(kind: Any) -> dict[str, Any]:
    """What argparse has to know of a value of this kind."""
    within = get_args(kind)
    if bool in (kind, *within):
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(kind) is Mapping:
        return {"action": "append", "metavar": "NAME=VALUE", "type": _variable}
    if get_origin(kind) is tuple:
        return {"action": "append", "metavar": "..."}
    if get_origin(kind) is Literal:
        return {"metavar": "|".join(within)}
    return {"metavar": {float: "S", int: "N", Path: "PATH"}.get(kind, "TEXT")}


if __name__ == "__main__":
    sys.exit(main())
