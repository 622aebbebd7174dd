"""Draws `status` and `info` for a terminal: columns that fit, reasons that wrap, colour.

Pure. A pipe gets another text, which does not depend on the width: see `printing.aligned`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bgrscrpt_ioc.client.readings import HUNG, Row, in_words
from bgrscrpt_ioc.host.wrapping import wrapped
from bgrscrpt_ioc.output.loglines import duration

COLOURS = {"NO_ALARM": "32", "MINOR": "33", "MAJOR": "31", "INVALID": "35"}  # SGR: ECMA-48
NO_ANSWER = "35"
GAP = "  "
UNITS: Mapping[str, str] = {"CPU": "%", "MEMORY": "MB", "PROGRESS": "%", "RETRYIN": "s"}


def status_lines(rows: Sequence[Row], names: Sequence[str], width: int, *, colour: bool) -> str:
    """Return a line for each instance, and below it the reason, wrapped and never cut.

    Args:
        rows: the rows of `readings`.
        names: what to call each instance.
        width: columns of the terminal; columns of the table are left out from the right.
        colour: whether to show the states in the colours of their alarm severities.
    """
    head = ["NAME", "STATUS", "UPTIME", "PID", "CPU", "MEMORY", "RESTARTS"]
    cells = [head, *(_cells(row, name) for row, name in zip(rows, names, strict=True))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    while len(widths) > 2 and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        widths.pop()
    lines: list[str] = []
    for at, line in enumerate(cells):
        parts = [cell.ljust(room) for cell, room in zip(line, widths, strict=False)]
        if colour and at:
            code = COLOURS.get(rows[at - 1]["SEVERITY"] or "", NO_ANSWER)
            parts[1] = parts[1].replace(line[1], f"\x1b[{code}m{line[1]}\x1b[0m", 1)
        lines.append(GAP.join(parts).rstrip())
        if at and (reason := rows[at - 1]["STATUS:MSG"]):
            lines += wrapped(reason, width, GAP)
    return "".join(f"{line}\n" for line in lines)


def _cells(row: Row, name: str) -> list[str]:
    if row["STATUS"] is None:
        return [name, in_words(row), *[""] * 5]
    if not row["PID"]:
        return [name, in_words(row), *[""] * 4, _count(row["RESTARTS"])]
    return [
        name,
        in_words(row),
        "" if row["UPTIME"] is None else duration(row["UPTIME"]),
        _count(row["PID"]),
        "" if row["CPU"] is None else f"{row['CPU']:.1f} %",
        "" if row["MEMORY"] is None else f"{row['MEMORY']:.1f} MB",
        _count(row["RESTARTS"]),
    ]


def _count(number: float | None) -> str:
    return "" if number is None else str(number)


def info_lines(readings: Row, width: int) -> str:
    """Return all readings of an instance, one below the other; long texts below their names."""
    widest = max(map(len, readings))
    lines: list[str] = []
    for name, value in readings.items():
        shown = _value(name, value)
        if "\n" in shown:  # lines of the script, which are not wrapped
            lines.append(name)
            lines += [f"{GAP}{line}" for line in shown.rstrip("\n").split("\n")]
        elif widest + len(GAP) + len(shown) > width:
            lines.append(name)
            lines += wrapped(shown, width, GAP)
        else:
            lines.append(f"{name.ljust(widest)}{GAP}{shown}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def _value(name: str, value: object) -> str:
    name = name.removeprefix("IOC:")
    if name == "UPTIME" and isinstance(value, (int, float)):
        return duration(value)
    if isinstance(value, float):
        value = f"{value:.1f}"
    if name in UNITS and value is not None:
        return f"{value} {UNITS[name]}"
    return "" if value is None else str(value)


def plain_state(row: Row) -> str | None:
    """Return the state of a row in one word, for a pipe; `Hung` too."""
    return "Hung" if in_words(row) == HUNG else row["STATUS"]
