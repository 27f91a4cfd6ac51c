"""Colours and axes that all plots share. Nothing is global, so that notebooks and threads may call the plots."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genjax_models.figures.palette import BLUE, CLASS_COLORS, COLORS, GREEN, GREY, INK, ORANGE, PALE

__all__ = ["BLUE", "CLASS_COLORS", "COLORS", "GREEN", "GREY", "INK", "MARKERS", "ORANGE", "PALE", "new_axes"]

MARKERS = "os^Dv"


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Returns a figure of at least 1.5 by 1 inches, and its axes."""
    figure = Figure(figsize=(max(width, 1.5), max(height, 1.0)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    return figure, axes
