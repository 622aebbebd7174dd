"""The command `web`: chooses the instances that the web page shows, and serves the page.

What serves the page is an extra, imported when the command runs.
"""

from __future__ import annotations

import argparse
from copy import copy
from pathlib import Path

from bgrscrpt_ioc.cli.address import WHERE, address_of, read_settings
from bgrscrpt_ioc.cli.finding import instances_asked
from bgrscrpt_ioc.cli.options import Add, add_settings
from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.lifecycle.events import CommandFailed

PORT = 8089
HOST = "127.0.0.1"


def web(arguments: argparse.Namespace) -> int:
    """Serve the web page until SIGTERM or ^C.

    Raises:
        CommandFailed: it cannot be served; the text says why.
    """
    try:
        from bgrscrpt_ioc.web.serve import HttpPlace, serve, token
    except ImportError as error:
        raise CommandFailed(
            f"the web page needs the package {error.name}:"
            " run `pip install 'bgrscrpt_ioc[web]'` in the environment of the IOC"
        ) from error
    from bgrscrpt_ioc.client.readings import point_at_place

    each = [_of(arguments, config) for config in arguments.configs or [None]]
    addresses = [address_of(one) for one in each]
    word = None
    if arguments.allow_control:
        state_dir = read_settings(each[0], ["state_dir"])["state_dir"]
        word = token(arguments.token_file, state_dir)

    def find() -> list[Instance]:
        return [
            instance
            for one, address in zip(each, addresses, strict=True)
            for instance in instances_asked(one, address)
        ]

    interfaces = [name for address in addresses for name in address.interfaces]
    point_at_place(find(), list(dict.fromkeys(interfaces)))
    serve(find, HttpPlace(arguments.http_host, arguments.http_port, arguments.allow_host, word))
    return 0


def _of(arguments: argparse.Namespace, config: Path | None) -> argparse.Namespace:
    one = copy(arguments)
    one.config, one.name = config, None
    return one


def add_commands(add: Add) -> None:
    """Add the command `web`."""
    command = add("web", web, "Serve a web page that shows instances, until SIGTERM or ^C.")
    command.add_argument(
        "--config",
        dest="configs",
        action="append",
        type=Path,
        metavar="FILE",
        help="TOML file with the settings of an IOC; may be given several times (default: all"
        " instances of this host, or those of --prefix).",
    )
    command.add_argument(
        "--fleet",
        type=Path,
        metavar="FILE",
        help="TOML file that names IOCs by prefix and host.",
    )
    add_settings(command, IocSettings, (*WHERE, "state_dir"))
    command.add_argument(
        "--http-port",
        type=int,
        default=PORT,
        metavar="N",
        help=f"TCP port of the web page (default: {PORT}).",
    )
    command.add_argument(
        "--http-host",
        default=HOST,
        metavar="ADDRESS",
        help=f"Address to serve the web page on; 0.0.0.0 is all interfaces (default: {HOST}).",
    )
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="Host name by which browsers may ask for the page, such as that of a reverse proxy;"
        " may be given several times (default: the names of this host).",
    )
    command.add_argument(
        "--allow-control",
        action="store_true",
        help="Let people who know the token start and stop scripts (default: read-only page).",
    )
    command.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="File with the token (default: $BGRSCRPT_WEB_TOKEN, or else a new file in the state"
        " directory).",
    )
