"""The picture of `experiments.any_subset`."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.any_subset.measurement import Study, over_runs_and_images
from experiments.any_subset.options import AnySubset
from genjax_models.figures.palette import BLUE, GREEN, GREY, ORANGE, PINK, SKY
from genjax_models.types import Array

_WAYS = (BLUE, SKY, ORANGE, GREEN, PINK, GREY)
_CLASSIFIERS = (ORANGE, BLUE, GREY)


def picture(options: AnySubset, study: Study) -> Figure:
    """Draws nats per missing pixel, and class accuracy, over the share of missing pixels; bars are standard errors."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, nats), colour in zip(study.nats.items(), _WAYS, strict=True):
        _curve(left, options.shares, nats, f"{name} ({study.passes[name]} passes)", colour)
    for (name, classes), colour in zip(study.right.items(), _CLASSIFIERS, strict=True):
        _curve(right, (0, *options.shares), classes, name, colour)
    left.set_ylabel("nats per missing pixel")
    right.set_ylabel("class accuracy")
    for axes, title in ((left, "What is missing, filled in"), (right, "The class, read from the rest")):
        axes.set(title=title, xlabel="share of pixels missing", xlim=(-0.03, 1))
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, frameon=False)
    return figure


def _curve(axes: Axes, shares: tuple[float, ...], figure: Array, label: str, colour: str) -> None:
    """Draws the means of a figure `[shares, runs, images]` with their standard errors."""
    style = {"marker": "o", "markersize": 3, "linewidth": 1.2, "capsize": 2}
    estimates = [over_runs_and_images(of_share) for of_share in figure]
    means, errors = [of.value for of in estimates], [of.standard_error for of in estimates]
    axes.errorbar(shares, means, errors, label=label, color=colour, **style)
