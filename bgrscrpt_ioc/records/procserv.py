"""An instance under procServControl's names and strings, for screens and servers that know these.

These records are only aliases: they show and do what the instance's own records show and do.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from bgrscrpt_ioc.lifecycle.events import Severity, State
from bgrscrpt_ioc.output.loglines import cut
from bgrscrpt_ioc.records.kinds import command, live, switch
from bgrscrpt_ioc.records.live import LiveRecord
from bgrscrpt_ioc.records.table import IOCOUT, PROCSERV_RECORDS, Record

# Values of STATUS; no state of ours means that procServ itself does not run.
RUNNING, SHUTDOWN = 0, 1
ALIVE = (State.STARTING, State.RUNNING, State.STOPPING)

Do = Callable[[str, int, str], Coroutine[Any, Any, None]]


def procserv_prefix(prefix: str, name: str) -> str:
    """Return the beginning of procServControl's names for an instance."""
    return f"{prefix}CS:PS:{name}:"


class ProcServRecords:
    """The aliases of one instance, by their full names."""

    def __init__(self, prefix: str, name: str, do: Do) -> None:
        """Make the records; `do(command, 1, by)` carries out START, STOP, RESTART and TOGGLE."""
        self._newest = ""  # newest output, while SHOWOUT is No
        self._records = {each.name: self._make(prefix, each, do) for each in PROCSERV_RECORDS}
        self.by_full_name: Mapping[str, LiveRecord] = {
            each.name: each for each in self._records.values()
        }
        self._records["IOCNAME"].post(name)
        self._records["IOCDESC"].post(f"background script {name}")
        self._records["PORT"].post(name)
        self._records["SHOWOUT"].post(1)
        self.become(SHUTDOWN)

    def _make(self, prefix: str, record: Record, do: Do) -> LiveRecord:
        name = prefix + record.name
        if record.name == "SHOWOUT":
            return switch(name, record, self._show_output)
        return (
            command(name, record, partial(do, record.name))
            if record.writable
            else live(name, record)
        )

    def become(self, status: int) -> None:
        """Post STATUS with its alarm, which is MAJOR in all states but Running."""
        record = self._records["STATUS"]
        record.post(status, record.record.severities.get(status, Severity.NO_ALARM))

    def published(self, name: str, value: str | float) -> None:
        """Follow a reading of the instance."""
        if name == "STATUS":
            self.become(RUNNING if value in ALIVE else SHUTDOWN)
        elif name == "AUTORESTART":
            self._records["AUTORESTART"].post(value)
        elif name == "LOG":
            self._newest = str(value)
            self._post_output()

    async def _show_output(self, on: int, by: str) -> None:  # noqa: ARG002 - nobody is told
        self._records["SHOWOUT"].post(on)
        self._post_output()

    def _post_output(self) -> None:
        """Post IOCOUT. While SHOWOUT is No it does not change, as in procServControl."""
        if self._records["SHOWOUT"].value:
            self._records["IOCOUT"].post(newest(self._newest, IOCOUT - 1))


def newest(text: str, size: int) -> str:
    """Return the newest whole lines that fit in `size` bytes; of a longer line its beginning."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return text
    start = data.find(b"\n", len(data) - size - 1) + 1
    last = data[start or data.rfind(b"\n") + 1 :]
    return cut(last.decode("utf-8", "replace"), size).decode()
