"""The command `status`: shows the states of instances, once or live, to people and to programs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import datetime

from bgrscrpt_ioc.cli import drawn, finding
from bgrscrpt_ioc.cli.address import Address, address_of
from bgrscrpt_ioc.cli.printing import (
    in_colour,
    show,
    show_json,
    terminal_height,
    terminal_width,
    write,
)
from bgrscrpt_ioc.client import readings
from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.libca import leave_context, not_found
from bgrscrpt_ioc.client.readings import Row
from bgrscrpt_ioc.client.watching import PvTable
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.lifecycle.events import CommandFailed

TROUBLE, MISSING = 3, 4  # exit codes
COLUMNS = ("NAME", "STATUS", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "STATUS:MSG")
EVERY = 1.0  # s between two searches for instances that came or went
PACE = 0.25  # s between two pictures, at least
# Switch to an empty screen without a cursor, and back, as in xterm and all terminals of today.
ENTER, LEAVE, HOME, REST = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H", "\x1b[J"


def status(arguments: argparse.Namespace) -> int:
    """Show the state of each instance; return 3 if one has failed or is hung, 4 if one is away."""
    address = address_of(arguments)
    if arguments.watch:
        _watch(arguments, address)
    instances = finding.instances_asked(arguments, address)
    rows = readings.status_rows(instances, address.interfaces)
    if more := _more(arguments, instances, rows):
        instances += more
        rows += readings.status_rows(more, address.interfaces)
    order = sorted(range(len(rows)), key=lambda at: instances[at])
    instances, rows = [instances[at] for at in order], [rows[at] for at in order]
    width = terminal_width()
    names = _names(instances, mixed=finding.several_prefixes(arguments, instances))
    if arguments.json:
        show_json(rows)
    elif width is not None:
        write(drawn.status_lines(rows, names, width, colour=in_colour()))
        write(f"{finding.sources(instances)}\n")
    else:
        shown = [
            row
            | {"NAME": name.replace(" (port ", "@").rstrip(")"), "STATUS": drawn.plain_state(row)}
            for row, name in zip(rows, names, strict=True)
        ]
        show(shown, COLUMNS, as_json=False)
    missing = [each for each, row in zip(instances, rows, strict=True) if row["STATUS"] is None]
    if missing:
        complain(not_found(", ".join(each.full_name for each in missing), address.prefix))
    if any(map(readings.in_trouble, rows)):
        return TROUBLE
    return MISSING if missing else 0


def _more(
    arguments: argparse.Namespace, instances: Sequence[Instance], rows: Sequence[Row]
) -> list[Instance]:
    """Return the other instances that the same IOCs serve, unless all were named."""
    if arguments.name or (arguments.config and not arguments.fleet):
        return []
    known = set(instances)
    told = [
        sibling
        for each, row in zip(instances, rows, strict=True)
        for sibling in finding.siblings(each, row["IOC:INSTANCES"])
    ]
    return [each for each in dict.fromkeys(told) if each not in known]


def _names(instances: Sequence[Instance], *, mixed: bool) -> list[str]:
    """Return a name for each instance: with the prefix and the port where these differ."""
    ports = len({each.port for each in instances}) > 1
    return [
        (each.full_name if mixed else each.name) + (f" (port {each.port})" if ports else "")
        for each in instances
    ]


# --- live -----------------------------------------------------------------------------------------


def _watch(arguments: argparse.Namespace, address: Address) -> None:
    """Draw the states whenever they change, those that need somebody first, until ^C.

    Raises:
        ConfigError: stdout is no terminal.
        CommandFailed: there are two instances of one name, which libca cannot tell apart.
    """
    if terminal_width() is None or arguments.json:
        raise ConfigError("command line: --watch: needs a terminal; leave out --json and pipes")
    instances = finding.instances_asked(arguments, address)
    write(ENTER, now=True)
    try:
        while True:
            if len(readings.places(instances)) > 1:
                raise CommandFailed("--watch: two IOCs serve one instance; add --port N")
            readings.point_at_place(instances, address.interfaces)
            instances = _watch_these(arguments, address, instances)
            leave_context()
    finally:
        write(LEAVE, now=True)


def _watch_these(
    arguments: argparse.Namespace, address: Address, instances: list[Instance]
) -> list[Instance]:
    """Draw these instances until there are others; return the others."""
    names = _names(instances, mixed=finding.several_prefixes(arguments, instances))
    called = dict(zip(instances, names, strict=True))
    asked = [each for each in instances if each.source != finding.SIBLING]
    with PvTable([name for each in instances for name in readings.pvs_of(each)]) as table:
        table.wait_for_all()
        while True:
            found = dict(table.readings)
            rows = {each: readings.row_of(each, found) for each in instances}
            _draw(sorted(called, key=lambda each: readings.urgency(rows[each])), rows, called)
            if not arguments.registry:  # the registry is not asked every second
                asked = finding.instances_asked(arguments, address)
            siblings = [x for x in instances if x.source == finding.SIBLING and rows[x]["STATUS"]]
            siblings += _more(arguments, instances, list(rows.values()))
            wanted = list(dict.fromkeys([*asked, *siblings]))
            if set(wanted) != set(instances):
                return wanted
            time.sleep(PACE)
            table.wait(EVERY)


def _draw(order: list[Instance], rows: dict[Instance, Row], called: dict[Instance, str]) -> None:
    width, height = terminal_width() or 80, terminal_height()
    drawn_rows = [rows[each] for each in order]
    text = drawn.status_lines(
        drawn_rows, [called[each] for each in order], width, colour=in_colour()
    )
    lines = [f"{datetime.now():%H:%M:%S}  {finding.sources(order)}", *text.splitlines()]
    lines = [line if "\x1b" in line else line[:width] for line in lines]
    if len(lines) > height:
        lines = [*lines[: height - 1], f"... and {len(lines) - height + 1} more lines"]
    body = "\n".join(f"{line}\x1b[K" for line in lines)
    write(f"{HOME}{body}{REST}", now=True)
