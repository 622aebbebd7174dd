"""A Channel Access client for the command line: commands, readings, log, over the real libca.

Imported by client commands only; it knows the PVs' names and nothing of how the IOC makes them.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bgrscrpt_ioc.config.settings import IocSettings
from bgrscrpt_ioc.events import CommandFailed, State

CONNECT_TIMEOUT = 3.0  # s; an IOC on this host answers in milliseconds
ECA_NORMAL, ECA_PUTFAIL, ECA_DISCONN = 1, 160, 192  # caerr.h of EPICS base
TEXTS = ("STATUS:MSG", "SCRIPT", "EXITREASON", "ERROR")
NUMBERS = (
    "STATUS", "PID", "UPTIME", "STARTS", "RESTARTS", "EXITCODE", "CPU", "MEMORY", "PROGRESS",
)  # fmt: skip
SHOWN = ("NAME", "STATUS", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", "STATUS:MSG")

_HELD: list[socket.socket] = []  # until the command ends

Row = dict[str, Any]


def command(settings: IocSettings, name: str, what: str, timeout: float) -> None:
    """Put 1 to START, STOP or RESTART and wait until the commanded state is reached.

    Raises:
        CommandFailed: it was not; with the reason that the IOC gives.
    """
    _find(settings)
    pv = f"{settings.prefix}{name}:"
    try:
        put_and_wait(f"{pv}{what}", 1, timeout)
    except _PutFailed as error:
        (message,) = _get([f"{pv}STATUS:MSG"])
        raise CommandFailed(_text(message) or str(error)) from error


def put_and_wait(pvname: str, value: int, timeout: float) -> None:
    """Put with callback, and heed the status that comes back: pyepics' put(wait=True) drops it.

    Args:
        pvname: a scalar number or enum.
        value: what to put.
        timeout: s, from the put to its completion.

    Raises:
        CommandFailed: nobody has the PV, the put is refused or fails, or nothing comes back.
    """
    from epics import ca, dbr

    channel = ca.create_channel(pvname, connect=False, auto_cb=False)
    if not ca.connect_channel(channel, timeout=CONNECT_TIMEOUT):
        raise CommandFailed(not_found(pvname))
    done, statuses = threading.Event(), []

    def completed(args: Any) -> None:  # in a thread of libca
        statuses.append(args.status)
        done.set()

    callback = dbr.make_callback(completed, dbr.event_handler_args)
    kind = ca.field_type(channel)
    data = dbr.Map[kind](value)
    libca: Any = ca.libca
    refused = libca.ca_array_put_callback(
        kind, 1, channel, ctypes.byref(data), callback, ctypes.py_object(None)
    )
    if refused != ECA_NORMAL:
        raise _PutFailed(f"{pvname}: {_meaning(refused)}")
    ca.flush_io()
    try:
        answered = done.wait(timeout)
    finally:
        ca.clear_channel(channel)  # from here on libca does not call back: `completed` may go
    if not answered:
        raise CommandFailed(f"{pvname}: not completed within {timeout:g} s")
    if statuses[0] == ECA_DISCONN:
        raise CommandFailed(f"{pvname}: the IOC went away before it was done")
    if statuses[0] != ECA_NORMAL:
        raise _PutFailed(f"{pvname}: {_meaning(statuses[0])}")


class _PutFailed(CommandFailed):
    """The IOC itself says that it failed, and says why in STATUS:MSG."""


def status(settings: IocSettings, names: Sequence[str]) -> list[Row]:
    """Read the state of each instance; STATUS is None where no IOC answers for it."""
    _find(settings)
    keys = (*NUMBERS, *TEXTS)
    values = iter(_get([f"{settings.prefix}{name}:{key}" for name in names for key in keys]))
    rows: list[Row] = []
    for name in names:
        row: Row = {"NAME": name} | {key: _number(next(values)) for key in NUMBERS}
        row |= {key: _text(next(values)) for key in TEXTS}
        if row["STATUS"] is not None:
            row["STATUS"] = State(row["STATUS"]).name.capitalize()
        rows.append(row)
    return rows


def log(settings: IocSettings, name: str, *, follow: bool) -> None:
    """Print LOG, and with `follow` what is added to it, until interrupted.

    Raises:
        CommandFailed: no IOC answers for the instance.
    """
    _find(settings)
    pvname = f"{settings.prefix}{name}:LOG"
    (value,) = _get([pvname])
    if value is None:
        raise CommandFailed(not_found(pvname))
    seen = _text(value) or ""
    sys.stdout.write(seen)
    for tail in _changes(pvname) if follow else ():
        sys.stdout.write(added(seen, tail))
        sys.stdout.flush()
        seen = tail


def added(before: str, after: str) -> str:
    """What the tail `after` has more than the tail `before`; both are whole lines.

    Where lines went by unseen in between, a line that says so comes first. (Equal lines that fill
    the whole tail cannot be told apart: the log file has them all.)
    """
    at = 0
    while at < len(before):
        if after.startswith(before[at:]):
            return after[len(before) - at :]
        at = before.find("\n", at) + 1 or len(before)
    return f"[... more than LOG holds; LOG:FILE has it all]\n{after}" if before else after


def not_found(what: str) -> str:
    """Say where was looked for PVs that nobody has."""
    return (
        f"no answer for {what} at {os.environ['EPICS_CA_ADDR_LIST']}, port"
        f" {os.environ['EPICS_CA_SERVER_PORT']}: is the IOC running, with this prefix and port?"
    )


def show(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows of one kind: JSON, a table on a terminal, aligned columns into a pipe."""
    if as_json:
        print(json.dumps(rows, indent=2, default=str, ensure_ascii=False))
        return
    if not rows:
        return
    keys = SHOWN if "STATUS" in rows[0] else tuple(rows[0])
    cells = [[key.upper() for key in keys], *([_cell(row[key]) for key in keys] for row in rows)]
    if sys.stdout.isatty():
        from rich import print as rich_print
        from rich.table import Table
        from rich.text import Text

        table = Table(*cells[0])
        for line in cells[1:]:
            table.add_row(*map(Text, line))
        rich_print(table)
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return "-" if value is None else str(value).replace("\n", " ")


def _find(settings: IocSettings) -> None:
    """Point libca at the IOC of the settings; EPICS_CA_ADDR_LIST, where set, is the user's word.

    To be called before libca is loaded: it reads its environment once.
    """
    os.environ["EPICS_CA_SERVER_PORT"] = str(settings.port)
    if not os.environ.get("EPICS_CA_ADDR_LIST"):
        here = {"0.0.0.0": "127.0.0.1"}  # noqa: S104 - to find who is bound to all
        hosts = [here.get(address, address) for address in settings.interfaces]
        os.environ["EPICS_CA_ADDR_LIST"] = " ".join(hosts)
        os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
    if not os.environ.get("EPICS_CA_REPEATER_PORT") and not shutil.which("caRepeater"):
        # libca would print four lines about the missing program. A port that is in use is to it a
        # repeater that runs; beacons, which that would forward, are of no use to a short command.
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held.bind(("127.0.0.1", 0))
        os.environ["EPICS_CA_REPEATER_PORT"] = str(held.getsockname()[1])
        _HELD.append(held)


def _get(names: Sequence[str]) -> list[Any]:
    """The values of all `names`, None for each that is not found in time."""
    from epics import caget_many

    return caget_many(names, connection_timeout=CONNECT_TIMEOUT)


def _changes(pvname: str) -> Iterator[str]:
    """Each value of a text PV that follows; only the newest, where they come too fast."""
    from epics import PV

    came = threading.Event()
    newest: list[Any] = [None]

    def changed(value: Any, **_more: Any) -> None:  # in a thread of libca
        newest[0] = value
        came.set()

    pv = PV(pvname, callback=changed, auto_monitor=True)
    try:
        while True:
            came.wait()
            came.clear()
            yield _text(newest[0]) or ""
    finally:
        pv.disconnect()


def _text(value: Any) -> str | None:
    """A CHAR array, as libca clients get it, up to its NUL; one element comes as a number."""
    if value is None or isinstance(value, str):
        return value
    data = bytes([value]) if isinstance(value, int) else bytes(value)
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _number(value: Any) -> int | float | None:
    return value if value is None or isinstance(value, int) else float(value)


def _meaning(code: int) -> str:
    from epics import ca

    libca: Any = ca.libca
    return libca.ca_message(code).decode()
