"""The command `reload`: has an IOC of this host read its file of settings again."""

from __future__ import annotations

import argparse
import os
import re

from bgrscrpt_ioc.cli.address import PORT_VARIABLES, address_of, read_document
from bgrscrpt_ioc.cli.options import Add, add_file, count
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.lifecycle.events import CommandFailed

Held = dict[tuple[int, str], int]  # the IOC of each instance, by port and full name


def reload(arguments: argparse.Namespace) -> int:
    """Return how the reload has ended: 0 done, 1 done in part, 2 refused.

    Raises:
        CommandFailed: no IOC, or none alone, is found; or it does not answer.
    """
    pid = arguments.pid or _ioc_asked(arguments)
    request = "reload --dry-run" if arguments.dry_run else "reload"

    def say(line: str) -> None:
        write(f"{line}\n", now=True)

    try:
        return system.ask(pid, request, say, arguments.timeout)
    except TimeoutError as error:
        raise CommandFailed(
            f"reload: the IOC, process {pid}, has not answered within {arguments.timeout:g} s;"
            " its log says how the reload ends"
        ) from error
    except OSError as error:
        raise CommandFailed(f"reload: {error}") from error


def _ioc_asked(arguments: argparse.Namespace) -> int:
    """Return the process of the one IOC of this host that the command line means."""
    from bgrscrpt_ioc.host.hold import holders_on_this_host

    held = chosen(arguments, holders_on_this_host())
    if not held:
        raise CommandFailed(
            "reload: no such IOC on this host. An IOC in a container is reached from within it. An"
            " IOC whose file has another `prefix` or `port` now cannot take that on: end the IOC"
            " and start it again"
        )
    pids = set(held.values())
    names = ", ".join(sorted(name for _, name in held))
    if len(pids) > 1:
        raise CommandFailed(
            f"reload: several IOCs of this host serve {names}: name one by NAME, --prefix PREFIX,"
            " --config FILE or --pid PID"
        )
    if pids == {0}:
        raise CommandFailed(
            f"reload: {names}: the IOC is of another user or container: run this command there, or"
            " as that user"
        )
    return pids.pop()


def chosen(arguments: argparse.Namespace, held: Held) -> Held:
    """Return those of the instances that IOCs hold which the command line means."""
    address = address_of(arguments)
    named = arguments.config is not None or arguments.prefix is not None
    of_environment = any(os.environ.get(each) for each in PORT_VARIABLES)
    if arguments.port is not None or "port" in read_document(arguments.config) or of_environment:
        held = {key: pid for key, pid in held.items() if key[0] == address.port}
    if named:
        held = {key: pid for key, pid in held.items() if key[1].startswith(address.prefix)}
    if arguments.name:
        last = re.compile(rf"(.*[^A-Z0-9_])?{re.escape(arguments.name)}")
        full = f"{address.prefix}{arguments.name}"
        return {key: pid for key, pid in held.items() if key[1] == full or last.fullmatch(key[1])}
    # All instances of the file may be new: then what is served of its prefix is meant.
    names = [f"{address.prefix}{name}" for name in address.names]
    return {key: pid for key, pid in held.items() if key[1] in names} or held


def add_commands(add: Add) -> None:
    """Add the command that has an IOC read its file of settings again."""
    again = add(
        "reload",
        reload,
        "Have an IOC of this host read its file of settings again: add, remove and change"
        " instances. Only scripts whose run is changed are restarted.",
    )
    again.add_argument(
        "name", nargs="?", metavar="NAME", help="An instance of the IOC, where there are several."
    )
    again.add_argument(
        "--dry-run", action="store_true", help="Print what would be done, and change nothing."
    )
    again.add_argument(
        "--pid", type=count, metavar="PID", help="Process id of the IOC, as systemd knows it."
    )
    again.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="S",
        help="Seconds to wait for the reload to complete (default: 120).",
    )
    add_file(again, "prefix", "port")
