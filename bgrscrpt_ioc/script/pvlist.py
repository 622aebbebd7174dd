"""The text of the PV `PVS`: the PVs that the script has made, for programs that show them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from bgrscrpt_ioc.records.table import TAIL, Record
from bgrscrpt_ioc.script.paced import Paced

EVERY = 0.2  # s between two lists: a script makes many PVs one after the other
ROOM = TAIL - 1 - 20  # bytes; `more` and the NUL follow


class PvList:
    """The PV `PVS` of one instance. Use it in the event loop's thread."""

    def __init__(
        self, records: Callable[[], Iterable[Record]], publish: Callable[[str, str], None]
    ) -> None:
        """Prepare; `records` returns the records of all PVs that the script has now."""
        self._records, self._publish = records, publish
        self._paced = Paced(EVERY)

    def changed(self) -> None:
        """Publish a new list, now or soon."""
        self._paced.ask(lambda: self._publish("PVS", listed(list(self._records()))))


def listed(records: Sequence[Record]) -> str:
    """Return one JSON object a line for each record, as many as there is room for.

    If there is not enough room, the descriptions are left out, and then the last records: `{"more":
    3}` says how many.
    """
    lines = [_line(each, with_description=True) for each in records]
    if sum(len(each.encode()) + 1 for each in lines) > ROOM:
        lines = [_line(each, with_description=False) for each in records]
    found: list[str] = []
    size = 0
    for line in lines:
        size += len(line.encode()) + 1
        if size > ROOM:
            return "\n".join([*found, f'{{"more":{len(lines) - len(found)}}}'])
        found.append(line)
    return "\n".join(found)


def _line(record: Record, *, with_description: bool) -> str:
    kind = record.kind
    what: dict[str, object] = {"name": record.name, "kind": kind}
    if kind == "waveform":
        what["kind"] = f"{kind} {record.elements} {record.size}"
    what["writable"] = record.writable
    if with_description:
        what["description"] = record.desc
    return json.dumps(what, ensure_ascii=False, separators=(",", ":"))
