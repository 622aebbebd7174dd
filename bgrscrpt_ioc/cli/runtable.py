"""Draws `history`: a line for each run, and why the run ended.

Pure. A pipe gets one line for each run, which does not depend on the width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bgrscrpt_ioc.cli.drawn import GAP, wrapped
from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.script.history import PastRun, lasted
from bgrscrpt_ioc.script.story import How

COLUMNS = ("NAME", "RUN", "STARTED", "LASTED", "HOW", "BY", "WHY")


def row(name: str, run: PastRun) -> Mapping[str, object]:
    """Return the cells of a run for a pipe; LASTED is in seconds, None if it is unknown."""
    seconds = None if run.how in (How.RUNNING, How.LOST) else run.seconds
    cells = (name, run.number, moment(run), seconds, run.how, run.by, visible(run.why))
    return dict(zip(COLUMNS, cells, strict=True))


def table(lines: Sequence[tuple[str, PastRun]], width: int) -> str:
    """Return a line for each run, and below it why the run ended, wrapped and never cut.

    Args:
        lines: for each run the name of its instance, if that is to be shown, and the run.
        width: columns of the terminal.
    """
    cells = [["NAME", "RUN", "STARTED", "LASTED", "HOW", "BY"]]
    for name, run in lines:
        cells.append([name, str(run.number), moment(run), lasted(run), run.how, visible(run.by)])
    if not any(name for name, _ in lines):
        cells = [line[1:] for line in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    by = sum(widths) + len(GAP) * (len(widths) - 1) <= width
    drawn: list[str] = []
    for at, line in enumerate(cells):
        shown = line if by else line[:-1]
        parts = [cell.ljust(room) for cell, room in zip(shown, widths, strict=False)]
        drawn.append(GAP.join(parts).rstrip())
        if at:
            run = lines[at - 1][1]
            why = visible(run.why) if run.how != How.FINISHED or run.why != "exit 0" else ""
            if not by and run.by:
                why = f"by {visible(run.by)}{': ' if why else ''}{why}"
            drawn += wrapped(why, width, first="  ")
    return "".join(f"{each}\n" for each in drawn)


def moment(run: PastRun) -> str:
    """Return when the run began, in the local time of its IOC."""
    return visible(run.start[:19].replace("T", " "))
