"""The plot behind background_plot.py: gets points, keeps them, has them drawn and shown.

Knows no PVs; a subclass says what is plotted.
"""

from __future__ import annotations

import atexit
import itertools
import os
import random
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from _worker_thread import WorkerThread
from technique.muon import _plot_figure as look
from technique.muon import _plot_history as history
from technique.muon._plot_heartbeat import pulse, tell_ioc
from technique.muon._plot_server import PlotServer

DEFAULT_FIGURE_NAME = "Background Plot"
ADDRESS = os.environ.get("BACKGROUND_PLOT_ADDRESS", "127.0.0.1")
POINTS = 10_000  # of each line, in memory and on file; older ones are thinned
RETRY = 5.0  # s from one try to write the file of points to the next, after a failure

_plots = itertools.count(1)


def _port() -> int:
    given = os.environ.get("BACKGROUND_PLOT_PORT", "8989")
    if not given.isdigit() or int(given) > 65535:
        raise ValueError(f"BACKGROUND_PLOT_PORT is {given!r}: it must be a number, 0 to 65535")
    return int(given)


PORT = _port()


def save_directory() -> Path:
    """Where plots keep their points: $BACKGROUND_PLOT_DIR, else where such things belong."""
    if "BACKGROUND_PLOT_DIR" in os.environ:
        return Path(os.environ["BACKGROUND_PLOT_DIR"])
    if "ICPVARDIR" in os.environ:
        return Path(os.environ["ICPVARDIR"], "tmp")
    if os.name == "nt":
        return Path("C:/Instrument/var/tmp")
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state, "bgrscrpt")


class BackgroundPlot:
    """A plot of points that `get_data_point` of a subclass gives; this one plots random numbers."""

    def __init__(
        self,
        interval: float,
        figure_name: str = DEFAULT_FIGURE_NAME,
        ioc_number: int | None = None,
        *,
        port: int = PORT,
        address: str = ADDRESS,
    ) -> None:
        """Prepare a plot; `start` has it drawn.

        Args:
            interval: s between two points.
            figure_name: its title.
            ioc_number: 2 for BGRSCRPT_02; names the file that keeps the points over a restart.
            port: where a browser sees it, or the next port that is free.
            address: of the network interface; the default is seen on this host only.
        """
        if ioc_number is None:
            raise ValueError("IOC number must be set: 1 for BGRSCRPT_01, 2 for BGRSCRPT_02, ...")
        self.data_x: list[datetime] = []
        self.data: list[list[float | None]] = []
        self.lines: list[Any] = []
        self.figure: Any = None
        self.label_y_axis = "Values"
        self.thread: threading.Thread | None = None
        self.url = ""
        self._interval, self._figure_name = interval, figure_name
        self._address, self._port = address, port
        number, nth = _own_number(ioc_number), next(_plots)
        name = f"background_plot_data_{number:02d}" + (f"_{nth}" if nth > 1 else "")
        self._save_file = str(save_directory() / f"{name}.csv")
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._troubles: dict[str, str] = {}
        self._numbers = look.DateNumbers()
        self._server: PlotServer | None = None
        self._save_again = 0.0  # when to try to write the file of points anew; 0: it is well

    def start(self) -> BackgroundPlot:
        """Draw it from now on, in threads of its own, for as long as the script runs."""
        if self.thread is not None:
            return self
        self.figure, axes = look.new_figure()
        self.data = [[] for _ in self.get_data_set_labels()]
        self.lines = look.set_lines(axes, len(self.data))
        self.set_up_plot()
        self._server = PlotServer(
            self.figure,
            self._lock,
            self._figure_name,
            self._table,
            lambda trouble: self._trouble("drawing", trouble),
        )
        port = self._server.start(self._address, self._port)
        self.url = f"http://{self._address}:{port}"
        self._say(f"started at {self.url}, keeps its points in {self._save_file}")
        tell_ioc(f"{self._figure_name} at {self.url}")
        self.thread = WorkerThread(self._figure_name, self.run)
        self.thread.start()
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """End it; what it has is on file. Done by itself when the script ends."""
        self._stopping.set()
        pulse.forget(self)
        if self.thread is not None:
            self.thread.join(5)
        if self._server is not None:
            self._server.stop()

    # What subclasses may have otherwise, as they could in InstrumentScripts.

    def get_data_point(self) -> Sequence[Any]:
        """The time, then a number for each line, or None where there is none."""
        return (datetime.now().astimezone(), *(random.gauss(at, 3) for at in (0, 20, 40)))

    def get_data_set_labels(self) -> Sequence[str]:
        """The legend: a text for each line."""
        return ("set 1", "set 2", "set 3")

    def set_up_plot(self) -> None:
        """Is called once, before the first point, with `figure` and `lines` there."""

    def should_clear_plot(self) -> bool:
        """Whether to begin anew, with an empty plot."""
        return False

    def saved_data_matches_current_dataset(self) -> bool:
        """Whether the points on file are to be taken over when the plot starts."""
        return False

    def get_note(self) -> str:
        """What stands on the right above the plot."""
        return f"updated {datetime.now():%H:%M:%S}"

    def get_unit(self) -> str:
        """Of all lines; empty if they have none in common."""
        return ""

    def clear_plot(self) -> None:
        """Forget all points."""
        self.data_x, self.data = [], [[] for _ in self.data]

    def start_new_data_file(self) -> None:
        """Begin the file of points anew."""
        rows = map(history.row, zip(self.data_x, *self.data, strict=True))
        history.rewrite(Path(self._save_file), self.get_header(), rows)

    def get_header(self) -> list[str]:
        """What stands at the top of the file of points."""
        return [f"Axes: time, {', '.join(_plain(name) for name in self.get_data_set_labels())}"]

    def save_data_point(self, points: Sequence[Any]) -> None:
        """Add a point to the file."""
        history.append(Path(self._save_file), history.row(points))

    def load_data_from_save(self) -> None:
        """Take over the points on file; a gap tells that the plot has not run meanwhile."""
        _, times, columns, corrupt = history.read(Path(self._save_file))
        if corrupt:
            self._say(f"WARNING: {self._save_file}: {corrupt} corrupt rows skipped")
        if not times:
            return
        self.data_x = [*times, times[-1], *self.data_x]
        self.data = [[*old, None, *new] for old, new in zip(columns, self.data, strict=True)]

    def update_data(self) -> None:
        """Get the next point, and keep it."""
        point = self.get_data_point()
        if len(point) != len(self.data) + 1:
            raise TypeError(
                f"get_data_point() gave {len(point)} items, expected {len(self.data) + 1}:"
                f" the time, and a value for each of {list(self.get_data_set_labels())}"
            )
        self.data_x.append(point[0])
        for column, value in zip(self.data, point[1:], strict=True):
            column.append(value)
        self._attempt_to_save(lambda: self.save_data_point(point))

    def update(self) -> Any:
        """Get a point and draw it."""
        if self.should_clear_plot():
            self.clear_plot()
            self._attempt_to_save(self.start_new_data_file)
        self.update_data()
        if len(self.data_x) > POINTS:
            self._thin()
        with self._lock:
            return self.update_figure()

    def update_figure(self) -> Any:
        """Bring lines, legend, title and axes up to date; returns the lines."""
        axes = self.figure.axes[0]
        x = self._numbers.of(self.data_x)
        unit, labels = self.get_unit(), []
        names = self.get_data_set_labels()
        for line, column, name in zip(self.lines, self.data, names, strict=True):
            line.set_data(x, column)
            labels.append(look.reading(name, column[-1] if column else None, unit))
        y_label = f"{self.label_y_axis} ({unit})" if unit else self.label_y_axis
        look.set_texts(axes, self._figure_name, self.get_note(), y_label)
        look.set_legend(axes, self.lines, labels)
        if len(x):
            width = max(x[-1] - x[0], 10 / 86400)  # days; at least 10 s
            axes.set_xlim(x[0], x[0] + 1.02 * width)
        axes.relim()
        axes.autoscale_view(scalex=False)
        return self.lines

    # Our own.

    def run(self) -> None:
        """Update until `stop`, in the thread of the plot."""
        self._attempt_to_save(self._resume)
        while not self._stopping.is_set():
            pulse.begins(self, self._interval)
            if self._attempt("update", self.update) and not self._troubles.get("drawing"):
                pulse.beats(self)
            if self._server is not None:
                self._server.refresh()
            self._stopping.wait(self._interval)

    def _resume(self) -> None:
        """Begin where the last run ended, or anew."""
        if self.saved_data_matches_current_dataset():
            self.load_data_from_save()
        self.start_new_data_file()

    def _attempt(self, what: str, do: Any) -> bool:
        """Do it, and tell whether that went well. Say once what went wrong; the plot goes on."""
        try:
            do()
        except Exception as error:  # noqa: BLE001 - of a subclass or a library; no heartbeat then
            self._trouble(what, f"failed: {type(error).__name__}: {error}")
            return False
        self._trouble(what, "")
        return True

    def _attempt_to_save(self, do: Any) -> None:
        """Write to the file of points. After a failure the whole file is written anew, later."""
        if self._save_again:
            if time.monotonic() < self._save_again:
                return
            do = self.start_new_data_file
        well = self._attempt("save file", do)
        self._save_again = 0.0 if well else time.monotonic() + RETRY

    def _trouble(self, what: str, text: str) -> None:
        """Say it when it begins, changes and ends, and not with every point."""
        before = self._troubles.get(what, "")
        if text != before:
            self._troubles[what] = text
            self._say(f"{what} {text or 'is well again'}")

    def _say(self, text: str) -> None:
        print(f"{self._figure_name}: {text}", flush=True)

    def _thin(self) -> None:
        """Keep half as many points as there may be; the file too."""
        kept = history.kept(self._numbers.of(self.data_x), self.data, POINTS // 2)
        self.data_x = [self.data_x[i] for i in kept]
        self.data = [[column[i] for i in kept] for column in self.data]
        self._attempt_to_save(self.start_new_data_file)

    def _table(self) -> str:
        """All points, as the file has them."""
        head = ",".join(["time", *(_plain(name) for name in self.get_data_set_labels())])
        return (
            head + "\n" + "".join(map(history.row, list(zip(self.data_x, *self.data, strict=True))))
        )


def _own_number(ioc_number: int) -> int:
    """That of the instance which runs this, for a script that leaves it at 1."""
    last = os.environ.get("BGRSCRPT_NAME", "").rpartition("_")[2]
    return int(last) if ioc_number == 1 and last.isdigit() else ioc_number


def _plain(name: str) -> str:
    return name.replace(",", " ").replace("\n", " ")
