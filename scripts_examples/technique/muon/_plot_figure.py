"""How a background plot looks: colours, axes, title, legend. Knows no PVs and no server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from cycler import cycler
from dateutil.tz import tzlocal
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Blue and vermilion first: they differ for everybody, also in shades of grey (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SIZE = (11.0, 5.6)  # inches of 100 pixels
STYLE: dict[Any, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 11.5,
    "axes.edgecolor": "#888888",
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelcolor": "#333333",
    "axes.labelsize": 13,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.ymargin": 0.08,
    "grid.color": "#e6e6e6",
    "legend.fontsize": 13,
    "lines.linewidth": 2.0,
    "lines.solid_joinstyle": "round",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
}
# For ticks a year, month, day, hour, minute and second apart: each says all that a glance needs.
TIME_FORMATS: dict[str, Any] = {
    "formats": ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"],
    "zero_formats": ["", "%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M"],
    "offset_formats": ["", "", "%Y", "%d %b %Y", "%d %b %Y", "%d %b %Y"],
}


def new_figure() -> tuple[Figure, Axes]:
    """An empty figure with its axes, in local time; drawn by whoever has a canvas for it."""
    with rc_context(STYLE):
        figure = Figure(figsize=SIZE)
        axes = figure.add_axes((0.085, 0.115, 0.885, 0.72))
        axes.set_axisbelow(True)
        local = tzlocal()
        locator = AutoDateLocator(tz=local, minticks=4, maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=local, **TIME_FORMATS))
    return figure, axes


def set_lines(axes: Axes, count: int) -> list[Line2D]:
    """As many lines as this, empty yet; the first lies above all others."""
    with rc_context(STYLE):
        return [
            axes.plot([], [], "-", color=COLOURS[i % len(COLOURS)], zorder=2 + (count - i) / count)[
                0
            ]
            for i in range(count)
        ]


def set_texts(axes: Axes, title: str, note: str, y_label: str) -> None:
    """The title on the left, what changes on the right, the axes."""
    with rc_context(STYLE):
        axes.set_title(title, loc="left", fontsize=17, fontweight="bold", color="#222222", pad=44)
        axes.set_title(note, loc="right", fontsize=12, color="#555555", pad=46)
        axes.set_xlabel(f"Time ({datetime.now().astimezone().tzname()})")
        axes.set_ylabel(y_label)


def set_legend(axes: Axes, lines: Sequence[Line2D], labels: Sequence[str]) -> None:
    """Above the axes, where it hides no data."""
    for line, label in zip(lines, labels, strict=True):
        line.set_label(label)
    with rc_context(STYLE):
        axes.legend(
            handles=list(lines),
            loc="lower left",
            bbox_to_anchor=(-0.008, 1.0),
            ncols=min(4, max(1, len(lines))),
            frameon=False,
            labelcolor="linecolor",
            handlelength=1.4,
            columnspacing=2.4,
        )


def reading(label: str, value: float | None, unit: str) -> str:
    """What the legend says of a line, so that a glance is enough."""
    if value is None:
        return f"{label}: no data"
    return f"{label}: {value:.5g} {unit}".rstrip()


class DateNumbers:
    """Times as matplotlib counts them; those it has seen before are not converted again."""

    def __init__(self) -> None:
        self._seen: Sequence[datetime] = ()
        self._numbers: list[float] = []

    def of(self, times: Sequence[datetime]) -> Any:
        """One number for each time. A time without a zone is local."""
        if times is not self._seen or len(times) < len(self._numbers):
            self._seen, self._numbers = times, []
        new = [time.astimezone() for time in times[len(self._numbers) :]]
        self._numbers.extend(date2num(new).tolist() if new else ())
        return np.array(self._numbers)
