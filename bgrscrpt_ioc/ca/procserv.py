"""The same instance under procServControl's names and strings, for screens and servers that exist.

Aliases only: they say and do what the instance's own PVs do.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bgrscrpt_ioc.ca.channels import Channel
from bgrscrpt_ioc.ca.kinds import channel_of
from bgrscrpt_ioc.ca.puts import Command
from bgrscrpt_ioc.ca.records import IOCOUT, PROCSERV_RECORDS
from bgrscrpt_ioc.events import State
from bgrscrpt_ioc.output.loglines import cut

RUNNING, SHUTDOWN = 0, 1  # of STATUS; a procServ that does not run is no state of ours
ALIVE = (State.STARTING, State.RUNNING, State.STOPPING)

Do = Callable[[str, int, str], Coroutine[Any, Any, None]]


def procserv_prefix(prefix: str, name: str) -> str:
    """What procServControl's names begin with."""
    return f"{prefix}CS:PS:{name}:"


class ProcServPVs:
    """The aliases of one instance; `pvdb` has them by their full names."""

    def __init__(self, prefix: str, name: str, do: Do) -> None:
        """Make them; `do(command, 1, by)` carries out START, STOP, RESTART and TOGGLE."""
        self._channels: dict[str, Channel] = {
            record.name: Command(prefix + record.name, record, partial(do, record.name))
            if record.writable
            else channel_of(prefix + record.name, record)
            for record in PROCSERV_RECORDS
        }
        self.pvdb = {channel.name: channel for channel in self._channels.values()}
        self._channels["IOCNAME"].post(name)
        self._channels["STATUS"].post(SHUTDOWN)

    def published(self, name: str, value: str | float) -> None:
        """Follow a reading of the instance."""
        if name == "STATUS":
            self._channels["STATUS"].post(RUNNING if value in ALIVE else SHUTDOWN)
        elif name == "AUTORESTART":
            self._channels["AUTORESTART"].post(value)
        elif name == "LOG":
            self._channels["IOCOUT"].post(newest(str(value), IOCOUT - 1))


def newest(text: str, size: int) -> str:
    """The last whole lines of `text` that fit in `size` bytes; of a longer one its beginning."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return text
    start = data.find(b"\n", len(data) - size - 1) + 1
    last = data[start or data.rfind(b"\n") + 1 :]
    return cut(last.decode("utf-8", "replace"), size).decode()
