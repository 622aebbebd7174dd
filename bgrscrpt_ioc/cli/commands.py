"""The commands that ask an IOC that serves, by Channel Access, or the registry."""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from bgrscrpt_ioc.cli.address import (
    address_of,
    read_settings,
)
from bgrscrpt_ioc.cli.printing import show, show_json, terminal_width, write
from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.lifecycle.events import CommandFailed

AWAITED = {
    "start": "until the script runs",
    "stop": "until all processes of the script have ended",
    "restart": "until the script has been started again",
    "check": "until the script is checked",
}


def command(arguments: argparse.Namespace) -> int:
    """Start, stop, restart or check each named instance; return 1 if one of them fails."""
    failures = 0
    for instance in _named(arguments):
        try:
            _command(instance, arguments.command, arguments.timeout)
            if settle := getattr(arguments, "settle", 0.0):
                _settle(instance, settle)
        except CommandFailed as error:
            failures += 1
            complain(f"{instance.name}: {arguments.command}: {error}")
    return 1 if failures else 0


def _named(arguments: argparse.Namespace) -> list[Instance]:
    """Return the instances that a command names, and prepare libca to find them."""
    from bgrscrpt_ioc.client.libca import point_at

    address = address_of(arguments)
    instances = address.instances(arguments.names)
    point_at(address.port, address.interfaces)
    return instances


def _command(instance: Instance, what: str, timeout: float) -> None:
    """Put 1 to START, STOP, RESTART or CHECK and wait until the commanded state is reached.

    Raises:
        CommandFailed: the state was not reached (the text has the IOC's reason), or access security
            refused the put.
    """
    from bgrscrpt_ioc.client import pvs

    def say() -> None:
        complain(f"{instance.name}: {what}: waiting {AWAITED[what]}, {timeout:g} s at most")

    try:
        pvs.put_and_wait(f"{instance.pv}{what.upper()}", 1, timeout, say)
    except pvs.PutFailedError as error:
        raise CommandFailed(_message(instance) or str(error)) from error


def _message(instance: Instance) -> str:
    from bgrscrpt_ioc.client import pvs

    name = f"{instance.pv}STATUS:MSG"
    reading = pvs.read([name]).get(name)
    return "" if reading is None else pvs.text(reading.value) or ""


def _settle(instance: Instance, seconds: float) -> None:
    """Watch a script that was started, for some time.

    Raises:
        CommandFailed: the script or the IOC did not stay up.
    """
    from bgrscrpt_ioc.client.pvs import SHORT
    from bgrscrpt_ioc.client.watching import PvWatch
    from bgrscrpt_ioc.lifecycle.events import State

    if seconds > SHORT:
        complain(f"{instance.name}: the script runs; watching it for {seconds:g} s")
    status, starts = f"{instance.pv}STATUS", f"{instance.pv}STARTS"
    end = time.monotonic() + seconds
    first: object = None
    with PvWatch([status, starts]) as watch:
        while (left := end - time.monotonic()) > 0:
            watch.wait(left)
            first = watch.newest.get(starts) if first is None else first
            if watch.away:
                raise CommandFailed("the IOC went away while the script was watched")
            ended = watch.newest.get(status, State.RUNNING) != State.RUNNING
            if ended or watch.newest.get(starts) != first:
                raise CommandFailed(
                    f"the script did not stay up for {seconds:g} s: {_message(instance)}"
                )
        if status not in watch.newest:
            raise CommandFailed(f"{status}: no answer while the script was watched")


def stack(arguments: argparse.Namespace) -> int:
    """Print the stacks of all threads of an instance's script: new ones, or the newest ones.

    Raises:
        CommandFailed: the script does not run, or its interpreter does not answer.
    """
    from bgrscrpt_ioc.client import pvs

    arguments.names = [arguments.name]
    (instance,) = _named(arguments)
    failed = False
    if not arguments.last:
        try:
            pvs.put_and_wait(f"{instance.pv}STACK", 1, arguments.timeout)
        except pvs.PutFailedError:
            failed = True
    names = [f"{instance.pv}{key}" for key in ("STACK:TEXT", "PID")]
    found = pvs.read(names)
    if names[0] not in found:
        raise CommandFailed(f"{names[0]}: no answer")
    text = (pvs.text(found[names[0]].value) or "").rstrip("\n")
    if failed and names[1] in found and not found[names[1]].value:
        text = f"{instance.name}: stack: the script does not run: {_message(instance)}"
        raise CommandFailed(f"{text}; `stack --last {instance.name}` prints what was taken last")
    if failed:
        raise CommandFailed(f"{instance.name}: stack: {text}")
    write(f"{text}\n" if text else "")
    return 0


def recheck(arguments: argparse.Namespace) -> int:
    """Let the IOC check the script file of an instance that it serves; this runs nothing."""
    arguments.names, arguments.timeout = [str(arguments.script)], 120.0
    failed = command(arguments)
    if not failed:
        write(f"{arguments.script}: good\n")
    return failed


def autorestart(arguments: argparse.Namespace) -> int:
    """Switch AUTORESTART of each named instance; return 1 if one of them fails."""
    from bgrscrpt_ioc.client import pvs

    failures = 0
    for instance in _named(arguments):
        try:
            pvs.put_and_wait(f"{instance.pv}AUTORESTART", arguments.switch == "on", 30.0)
        except CommandFailed as error:
            failures += 1
            complain(f"{instance.name}: autorestart: {error}")
    return 1 if failures else 0


def info(arguments: argparse.Namespace) -> int:
    """Print all readings of an instance.

    Raises:
        CommandFailed: no IOC answers for it.
    """
    from bgrscrpt_ioc.cli import drawn
    from bgrscrpt_ioc.client import readings
    from bgrscrpt_ioc.client.libca import not_found

    arguments.names = [arguments.name]
    (instance,) = _named(arguments)
    found = readings.all_readings(instance)
    if not found:
        raise CommandFailed(not_found(instance.full_name, instance.prefix))
    if arguments.json:
        show_json(found)
    else:
        write(drawn.info_lines(found, terminal_width() or 80))
    return 0


def log(arguments: argparse.Namespace) -> int:
    """Print the newest output of an instance's script."""
    from bgrscrpt_ioc.cli import logfiles, logs

    arguments.names = [arguments.name]
    (instance,) = _named(arguments)
    asked = logs.Asked(arguments.lines, arguments.since, arguments.stamps)

    def kept() -> Path | None:
        with suppress(ConfigError):  # a macro that only the service has
            directory = read_settings(arguments, ["log_dir"])["log_dir"]
            return logfiles.newest_file(directory, instance.full_name)
        return None

    logs.log(instance, asked, follow=arguments.follow, kept=kept)
    return 0


def registry(arguments: argparse.Namespace) -> int:
    """Show the rows of the IOC registry.

    Raises:
        CommandFailed: the registry cannot be read.
    """
    from bgrscrpt_ioc.registry.dbtrouble import RegistryError
    from bgrscrpt_ioc.registry.registry import read_table

    url = read_settings(arguments, ["registry"])["registry"]
    try:
        rows = read_table(url)
    except RegistryError as error:
        raise CommandFailed(f"registry: {error}") from error
    show([asdict(row) for row in rows], as_json=arguments.json)
    return 0
