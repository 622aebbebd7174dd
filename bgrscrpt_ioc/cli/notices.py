"""The command `notify`: tells people, or tests whether they would be told."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.cli.options import Add, add_file
from bgrscrpt_ioc.cli.printing import write
from bgrscrpt_ioc.config.epicsvars import SERVER_PORT
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.config.load import load
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.lifecycle.events import CommandFailed

WAYS = ("mail", "webhook", "put")
FORMATS = ("json", "slack", "teams", "mattermost")
URL = "BGRSCRPT_WEBHOOK_URL"
# Of IBEX: sends SMS and e-mail to the people whom the instrument names.
ALERTS = "CS:AC:ALERTS:MESSAGE:SP"
PUT_TIMEOUT = 10  # s


def notify(arguments: argparse.Namespace) -> int:
    """Tell people what stdin says; with --test, run the commands of an instance.

    Raises:
        ConfigError: the command line asks for neither.
        CommandFailed: nobody was told.
    """
    if arguments.test:
        return _test(arguments)
    if arguments.how is None:
        raise ConfigError("notify: name a way (mail, webhook or put), or give --test NAME")
    notice = _notice()
    ways = {"mail": _mail, "webhook": _webhook, "put": _put}
    ways[arguments.how](arguments, notice)
    return 0


def _notice() -> Mapping[str, Any]:
    """Read the notice from stdin."""
    if sys.stdin.isatty():
        raise CommandFailed(
            "notify: no notice on stdin, where the IOC writes JSON: to try the commands, give"
            " --test NAME"
        )
    try:
        notice = json.loads(sys.stdin.buffer.read())
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"notify: stdin is not JSON: {error}") from error
    if not isinstance(notice, dict) or not isinstance(notice.get("text"), str):
        raise CommandFailed('notify: stdin should be a JSON object with a "text"')
    return notice


def _mail(arguments: argparse.Namespace, notice: Mapping[str, Any]) -> None:
    import getpass

    from bgrscrpt_ioc.host.resolver import own_name
    from bgrscrpt_ioc.notify import mail

    if not arguments.to:
        raise ConfigError("notify: mail: no recipient: give --to ADDRESS")
    sender = arguments.sender or f"{getpass.getuser()}@{own_name()}"
    subject = notice["text"].partition(": ")[0]
    lines = [f"{key + ':':9}{value}" for key, value in notice.items() if value and key != "text"]
    body = "\n".join([notice["text"], "", *lines, ""])
    made = mail.message(sender, arguments.to, subject, body)
    if arguments.smtp:
        account = mail.Account.read(arguments.login) if arguments.login else None
        mail.by_smtp(made, arguments.smtp, account)
    else:
        mail.by_sendmail(made)


def _webhook(arguments: argparse.Namespace, notice: Mapping[str, Any]) -> None:
    from bgrscrpt_ioc.notify import webhook

    url = os.environ.get(URL, "")
    if arguments.url_file is not None:
        url = _first_line(arguments.url_file)
    if not url:
        raise ConfigError(f"notify: webhook: no URL: give --url-file FILE, or set {URL}")
    webhook.post(notice, url, arguments.format)


def _first_line(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"--url-file {path}: cannot be read") from error


def _put(arguments: argparse.Namespace, notice: Mapping[str, Any]) -> None:
    from bgrscrpt_ioc.client.libca import point_at
    from bgrscrpt_ioc.client.pvs import put_text
    from bgrscrpt_ioc.host.networks import EVERYWHERE

    port = os.environ.get("EPICS_CA_SERVER_PORT", "")
    point_at(int(port) if port.isdecimal() else SERVER_PORT, [EVERYWHERE])
    put_text(arguments.pv or f"{notice.get('prefix', '')}{ALERTS}", notice["text"], PUT_TIMEOUT)


# --- --test ---------------------------------------------------------------------------------------


def _test(arguments: argparse.Namespace) -> int:
    """Run each command of an instance once, on this host, with a notice that says it is a test."""
    import asyncio

    if arguments.config is None:
        raise CommandFailed(
            f"notify: --test {arguments.test}: no configuration file: give the IOC's by --config"
            " FILE; `notify` is set there"
        )
    settings = load(arguments.config, None, None, {}, os.environ)
    known = {each.name: each for each in settings.instances}
    instance = known.get(arguments.test)
    if instance is None:
        raise CommandFailed(
            f"notify: --test {arguments.test}: {arguments.config} has no such instance; it has"
            f" {', '.join(known)}"
        )
    if not instance.notify:
        raise CommandFailed(
            f"{instance.name}: no command tells people: set `notify` in [defaults.notify] or"
            f" [instance.{instance.name}.notify]"
        )
    told = asyncio.run(_try_commands(instance, settings.prefix))
    for key, why in told.items():
        if why:
            complain(f"{instance.name}: {key}: {why}")
        else:
            write(f"{instance.name}: {key}: told\n", now=True)
    return 1 if any(told.values()) else 0


async def _try_commands(instance: InstanceSettings, prefix: str) -> dict[str, str]:
    from bgrscrpt_ioc.host.system import Reaper
    from bgrscrpt_ioc.host.worker import Worker
    from bgrscrpt_ioc.script.announcer import about, send

    reaper, worker = Reaper(), Worker()
    reaper.start()
    try:
        notice = about(instance.name, prefix, str(instance.script))
        commands: dict[tuple[str, ...], str] = {}
        for key, command in instance.notify.items():
            commands[command] = f"{commands[command]}, {key}" if command in commands else key
        return {
            keys: await send(command, notice, reaper, worker) for command, keys in commands.items()
        }
    finally:
        worker.close(1.0)
        reaper.stop()


def add_commands(add: Add) -> None:
    """Add the command that tells people, by which `notify` tells them."""
    command = add(
        "notify",
        notify,
        "Send the notice on stdin to people, by mail, webhook or put. The commands of the"
        " setting `notify` use it. With --test, run those commands of an instance once.",
    )
    command.add_argument(
        "how", nargs="?", choices=WAYS, metavar="|".join(WAYS), help="Way to send the notice."
    )
    command.add_argument(
        "--test", metavar="NAME", help="Name of the instance whose commands to try."
    )
    add_file(command)
    command.add_argument(
        "--to",
        action="append",
        metavar="ADDRESS",
        help="mail: address of a recipient; may be given several times.",
    )
    command.add_argument(
        "--sender",
        metavar="ADDRESS",
        help="mail: address of the sender (default: this user at this host).",
    )
    command.add_argument(
        "--smtp",
        metavar="HOST[:PORT]",
        help="mail: SMTP server to use (default: sendmail of this host).",
    )
    command.add_argument(
        "--login",
        type=Path,
        metavar="FILE",
        help="mail: file with the user and the password for the SMTP server, each on a line.",
    )
    command.add_argument(
        "--url-file",
        type=Path,
        metavar="FILE",
        help="webhook: file with its URL, which is a secret (default: $BGRSCRPT_WEBHOOK_URL).",
    )
    command.add_argument(
        "--format",
        choices=FORMATS,
        default="json",
        metavar="|".join(FORMATS),
        help="webhook: format that it expects (default: json, the notice itself).",
    )
    command.add_argument(
        "--pv", help="put: PV for the text (default: PREFIXCS:AC:ALERTS:MESSAGE:SP, as IBEX has)."
    )
