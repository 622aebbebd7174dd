"""The demonstration instrument's init: genie_python calls it when a script sets the instrument."""

from genie_python import genie as g


def init(inst: str) -> None:  # noqa: ARG001 - genie_python gives the instrument's name
    """Open the plot in IBEX, where there is one; elsewhere this says so and does nothing."""
    g.adv.open_plot_window(is_primary=False)
