"""The command `deploy`: prints or writes what a site needs around an IOC, for each consumer.

It asks no IOC. Of the settings it prints names and paths, and no value that may be a secret.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bgrscrpt_ioc.cli import generated
from bgrscrpt_ioc.cli.address import WHERE, read_document, settings_given
from bgrscrpt_ioc.cli.consumers import ALL, CONSUMERS, add_consumers
from bgrscrpt_ioc.cli.options import Add
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.lifecycle.events import CommandFailed

if TYPE_CHECKING:  # no other command needs it
    from bgrscrpt_ioc.deploy.site import Site


def deploy(arguments: argparse.Namespace) -> int:
    """Print the files for a consumer, or write them into a directory.

    Raises:
        ConfigError: the settings cannot be understood.
        CommandFailed: a file cannot be written.
    """
    if arguments.consumer == ALL:
        if arguments.write is None:
            raise ConfigError("command line: --write DIR is missing: `all` are many files")
        files = {
            f"{consumer}/{name}": text
            for consumer in CONSUMERS
            if consumer != ALL
            for name, text in _files(consumer, arguments).items()
        }
    else:
        files = _files(arguments.consumer, arguments)
    if arguments.consumer in ("systemd", ALL):
        _warn_of_private_directories(arguments)
    if arguments.write is not None:
        _write(files, arguments.write, replace=arguments.replace)
        return 0
    for name, text in files.items():
        heading = f"==> {name} <==\n" if len(files) > 1 else ""
        write(f"{heading}{text}" + ("\n" if heading else ""))
    return 0


def _warn_of_private_directories(arguments: argparse.Namespace) -> None:
    """Print a warning on stderr if the unit cannot see the IOC, its settings or its scripts."""
    from bgrscrpt_ioc.deploy import systemd

    if hidden := systemd.unseen(_site(arguments)):
        complain(
            f"warning: {systemd.UNIT}: the service cannot see {', '.join(hidden)}, because"
            " PrivateTmp=yes gives it a /tmp and a /var/tmp of its own; move these paths, or set"
            " PrivateTmp=no by `systemctl edit bgrscrpt`"
        )


def _write(files: Mapping[str, str], directory: Path, *, replace: bool) -> None:
    """Write the files, and print the name of each; a file that a site has changed is not lost.

    Raises:
        CommandFailed: a file of other text is there, or it cannot be written.
    """
    paths = {directory / name: text.encode() for name, text in files.items()}
    there = [path for path, data in paths.items() if not replace and _differs(path, data)]
    if there:
        raise CommandFailed(
            f"{', '.join(map(str, there))}: is there already and has other text, so nothing was"
            " written; compare them, then add --replace, or name another --write"
        )
    for path, data in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            if data.startswith(b"#!"):
                path.chmod(0o755)
        except OSError as error:
            raise _unwritable(path, error) from error
        write(f"{path}\n")


def _differs(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() != data
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> CommandFailed:
    what = error.strerror or error
    return CommandFailed(f"{path}: cannot be written: {what}; name another --write")


def add_commands(add: Add) -> None:
    """Add the command `deploy`, with a command below it for each consumer."""
    command = add(
        "deploy",
        deploy,
        "Print or write what a site needs around an IOC, made from the IOC's settings.",
    )
    add_consumers(command)


def _files(consumer: str, arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return the text of each file for a consumer, by its path."""
    from bgrscrpt_ioc.deploy import container, ibex, kubernetes, procserv, systemd

    makers: Mapping[str, Callable[[argparse.Namespace], Mapping[str, str]]] = {
        "systemd": lambda asked: {systemd.UNIT: systemd.service(_site(asked))},
        "procserv": lambda asked: procserv.files(_site(asked)),
        "ibex": lambda asked: ibex.files(asked.instances, _program(), asked.windows_python),
        "container": lambda asked: container.files(_site(asked), asked.image),
        "kubernetes": lambda asked: kubernetes.files(_site(asked), asked.image),
        "screens": generated.screens,
        "alarms": generated.alarms,
        "archive": generated.archive,
        "channelfinder": generated.channelfinder,
    }
    return makers[consumer](arguments)


def _site(arguments: argparse.Namespace) -> Site:
    from bgrscrpt_ioc.deploy.site import site_of

    if arguments.config is None:
        raise ConfigError("command line: --config FILE is missing: the service reads its settings")
    document = read_document(arguments.config)
    given = settings_given(arguments, document, WHERE)
    return site_of(
        document,
        _program(),
        Path(os.path.abspath(arguments.config)),  # noqa: PTH100 - without `..`
        prefix=given["prefix"],
        user=arguments.user,
        console=arguments.console_port,
        log=str(arguments.log.absolute()),
    )


def _program() -> tuple[str, ...]:
    """Return what starts this program, by absolute paths."""
    called = Path(sys.argv[0])
    if called.name == "bgrscrpt-ioc" and called.exists():
        return (str(called.absolute()),)
    return (sys.executable, "-I", "-m", "bgrscrpt_ioc")
