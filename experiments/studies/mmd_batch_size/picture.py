"""The picture of the study: estimates, learned variance and the time of a step, against the batch size."""

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.studies.mmd_batch_size.measurement import Measured, expectations
from experiments.studies.mmd_batch_size.options import MMDBatchSize
from experiments.studies.mmd_batch_size.theory import mean_variance, preferred_variance
from genjax_models.figures.palette import BLUE, GREY, INK, ORANGE

_COLOURS = {"biased": ORANGE, "unbiased": BLUE}


def picture(options: MMDBatchSize, measured: Mapping[int, Measured]) -> Figure:
    """Draws three panels: estimates, learned variance, and the time of a step."""
    figure = Figure(figsize=(13.5, 4.2), layout="constrained")
    estimates, variances, times = figure.subplots(1, 3)
    _estimates(estimates, options, measured)
    _variances(variances, options, measured)
    _times(times, measured)
    for axes in figure.axes:
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(measured), [f"{n:,}" for n in measured], fontsize=8)
        axes.minorticks_off()
        axes.set_xlabel("batch size")
        axes.set_axisbelow(True)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8, loc="lower right" if axes is variances else "best")
    return figure


def _estimates(axes: Axes, options: MMDBatchSize, measured: Mapping[int, Measured]) -> None:
    truth, biased = expectations(options)
    for name, colour, sizes in _side_by_side(measured):
        values = np.stack([row.estimates[name] for row in measured.values()])
        error = values.std(axis=1, ddof=1)
        axes.errorbar(sizes, values.mean(1), error, color=colour, fmt="o", markersize=4, label=name)
    expected = [biased[n] for n in measured]
    axes.plot(list(measured), expected, color=_COLOURS["biased"], linewidth=1, label="expectation of biased")
    axes.axhline(truth, color=INK, linewidth=1, linestyle=":", label="exact")
    axes.set_ylabel("MMD², mean and standard deviation")
    axes.set_title(f"samples of standard deviation {options.scale:g}", fontsize=10)


def _variances(axes: Axes, options: MMDBatchSize, measured: Mapping[int, Measured]) -> None:
    for name, colour, sizes in _side_by_side(measured):
        for i, (size, row) in enumerate(zip(sizes, measured.values(), strict=True)):
            if name in row.learned:
                variance, label = mean_variance(row.learned[name][1]), None if i else f"{name}, each seed"
                axes.plot(np.full(len(variance), size), variance, ".", color=colour, markersize=5, label=label)
    preferred = [preferred_variance(options.bandwidth, n) for n in measured]
    axes.plot(list(measured), preferred, color=_COLOURS["biased"], linewidth=1, label="least expected biased MMD²")
    axes.axhline(1, color=INK, linewidth=1, linestyle=":", label="data")
    axes.set_ylim(0.6)
    axes.set_ylabel("variance of samples")
    axes.set_title(f"learned in {options.steps} steps", fontsize=10)


def _times(axes: Axes, measured: Mapping[int, Measured]) -> None:
    sizes, times = np.array(list(measured)), np.array([1e3 * row.seconds for row in measured.values()])
    axes.plot(sizes, times, "o-", color=INK, markersize=4, linewidth=1, label="a step")
    axes.plot(sizes, times[-1] * (sizes / sizes[-1]) ** 2, ":", color=GREY, linewidth=1, label="batch²")
    axes.set_yscale("log")
    axes.set_ylim(times.min() / 2)
    axes.set_ylabel("ms of processor time")
    axes.set_title("time of a step", fontsize=10)


def _side_by_side(measured: Mapping[int, Measured]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yields each estimator, its colour, and batch sizes shifted a little, so that points do not overlap."""
    for sign, (name, colour) in zip((-1, 1), _COLOURS.items(), strict=True):
        yield name, colour, np.array(list(measured)) * 1.06**sign
