"""A plot of what an instrument does, drawn in the background of a script and shown in a browser.

The interface is that of ISIS's InstrumentScripts, so that scripts and plots made for it run as they
are. With a checkout of InstrumentScripts on the script's path, that one is used and not this.

    from technique.muon.background_plot import BackgroundBlockPlot

    plot = BackgroundBlockPlot(
        (("Temp_Sample", "value"), ("Temp_SP", "set point")), "Temperature"
    ).start()

Needs matplotlib and tornado; for Channel Access, genie_python if the script uses it, else pyepics.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from technique.muon import _plot_history as history
from technique.muon._plot_channels import Channel, instrument_prefix, watch

try:
    from technique.muon._plot import ADDRESS, DEFAULT_FIGURE_NAME, PORT, BackgroundPlot
except ModuleNotFoundError as missing:
    if str(missing.name).partition(".")[0] not in ("numpy", "matplotlib", "tornado"):
        raise
    raise ImportError(
        f"the background plot needs {missing.name}, which this Python has not:"
        " pip install 'bgrscrpt_ioc[plot]' (or matplotlib and tornado)"
    ) from missing

__all__ = ["DEFAULT_FIGURE_NAME", "BackgroundBlockPlot", "BackgroundPlot"]

BLOCK_PREFIX = "CS:SB:"
CONNECTING = 3.0  # s for which missing PVs are not yet remarkable


class BackgroundBlockPlot(BackgroundPlot):
    """A plot of blocks of the instrument, that begins anew with every run."""

    def __init__(
        self,
        block_and_name_list: Sequence[tuple[str, str]],
        y_axis_label: str,
        ioc_number: int = 1,
        interval: float = 0.5,
        *,
        port: int = PORT,
        address: str = ADDRESS,
    ) -> None:
        """Prepare a plot of blocks; `start` has it drawn.

        Args:
            block_and_name_list: for each line its block, and its name in the legend.
            y_axis_label: what is plotted; the unit is added.
            ioc_number: as for BackgroundPlot; left at 1 it is that of the instance which runs this.
            interval: s between two points.
            port: as for BackgroundPlot.
            address: as for BackgroundPlot.
        """
        title = f"{y_axis_label} Plot"
        super().__init__(interval, title, ioc_number, port=port, address=address)
        prefix = instrument_prefix()
        self.y_axis_label = self.label_y_axis = y_axis_label
        self.current_run_number: str | None = None
        self._legend_labels = [name for _, name in block_and_name_list]
        self._pv_names = [f"{prefix}{BLOCK_PREFIX}{block}" for block, _ in block_and_name_list]
        self._blocks = [watch(Channel(name)) for name in self._pv_names]
        self._units = [watch(Channel(f"{name}.EGU", as_text=True)) for name in self._pv_names]
        self._run_number = watch(Channel(f"{prefix}DAE:RUNNUMBER", as_text=True))
        self._run_state = watch(Channel(f"{prefix}DAE:RUNSTATE", as_text=True))
        self._remarkable = time.monotonic() + CONNECTING

    def get_data_point(self) -> Sequence[Any]:
        """The time, and what the blocks read; None for one that is disconnected or INVALID."""
        return (datetime.now().astimezone(), *(self._read(block) for block in self._blocks))

    def get_data_set_labels(self) -> Sequence[str]:
        """The names in the legend."""
        return self._legend_labels

    def get_unit(self) -> str:
        """The unit that all blocks have."""
        units = {unit for unit, _ in (channel.read() for channel in self._units) if unit}
        return units.pop() if len(units) == 1 else ""

    def get_note(self) -> str:
        """Run, its state, and when this was drawn."""
        state, _ = self._run_state.read()
        run = f"run {_shown(self.current_run_number)}" if self.current_run_number else "no run"
        return ", ".join([run + (f" {state}" if state else ""), super().get_note()])

    def should_clear_plot(self) -> bool:
        """When a new run is RUNNING. Not before, so that the old one can be looked at."""
        number, trouble = self._run_number.read()
        if time.monotonic() > self._remarkable:
            self._trouble(self._run_number.name, trouble and f"is {trouble}")
        if not number or number == self.current_run_number:
            return False
        if self.current_run_number is None:  # the first that is heard of it
            self.current_run_number = number
            self._attempt_to_save(self.start_new_data_file)  # with the number in it
            return False
        if self._run_state.read()[0] != "RUNNING":
            return False
        self._say(f"run {number} begins, with an empty plot")
        self.current_run_number = number
        return True

    def get_header(self) -> list[str]:
        """Run, names, and the PVs, by which it is known for the file of this plot."""
        pvs = ",".join(self._pv_names)
        return [f"run_number:{self.current_run_number or ''}", *super().get_header(), f"PVs: {pvs}"]

    def saved_data_matches_current_dataset(self) -> bool:
        """If it is of the same PVs. Whether its run is over is decided when that is known."""
        path = Path(self._save_file)
        if not path.exists():
            return False
        header, *_ = history.read(path)
        if self.get_header()[1:] != header[1:]:
            self._say(f"{path} is not of this plot: not taken over")
            return False
        self.current_run_number = header[0].partition(":")[2] or None
        return True

    def _read(self, block: Channel) -> float | None:
        value, trouble = block.read()
        if trouble == "" or time.monotonic() > self._remarkable:
            self._trouble(block.name, trouble and f"is {trouble}: a gap in its line")
        return value if value is not None and math.isfinite(value) else None


def _shown(run_number: str) -> str:
    return run_number.lstrip("0") or "0"
