"""Colours and axes that all plots share. Nothing is global, so that notebooks and threads may call the plots."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY, PALE = "#1f2933", "#7b8794", "#c3ccd5"
BLUE, ORANGE = "#2364aa", "#e07a1f"
COLORS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#b8860b", INK)  # for the colour blind (Okabe and Ito, 2008)
MARKERS = "os^Dv"


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Returns a figure of at least 1.5 by 1 inches, and its axes."""
    figure = Figure(figsize=(max(width, 1.5), max(height, 1.0)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    return figure, axes
