"""Plots of curves: metrics over steps, metrics of several runs, estimates over numbers of samples."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genjax_models.figures.style import BLUE, COLORS, GREY, MARKERS, ORANGE, new_axes
from genjax_models.types import Array

# Held-out metric -> the training metric that stands for it, if training does not compute it.
_IN_TRAINING = {"log_likelihood": "bound", "squared_error": "loss"}


class Curve(NamedTuple):
    """Values `[runs, points]` at `steps` `[points]` of a group of runs; `finished` if all of them are."""

    label: str
    steps: Array
    values: Array
    finished: bool = True


def curves(history: Sequence[Mapping[str, Any]], metric: str, *, label: str) -> Figure:
    """Returns `metric` over steps: a line for training, and validation with its standard error.

    The line for training is "player/metric", or its counterpart (`_IN_TRAINING`). If training has neither, as in a
    game, further axes below show each player's loss.
    """
    counterpart = metric if _series(history, "train", metric) else _IN_TRAINING.get(metric, "")
    train, held_out = _series(history, "train", counterpart), _series(history, "validation", metric)
    losses = {} if train else _losses(history)
    figure = Figure(figsize=(6.4, 6.0 if losses else 3.6), layout="constrained")
    axes, *below = figure.subplots(2 if losses else 1, sharex=True, squeeze=False)[:, 0]
    if train:
        name = "training" if counterpart == metric else f"training ({counterpart})"
        axes.plot(*zip(*train, strict=True), color=BLUE, linewidth=1.2, label=name)
    if held_out:
        steps, values = map(np.asarray, zip(*held_out, strict=True))
        errors = np.nan_to_num([error for _, error in _series(history, "validation", f"{metric}_se")] or 0.0)
        axes.plot(steps, values, color=ORANGE, marker="o", markersize=3, label="validation")
        axes.fill_between(steps, values - errors, values + errors, color=ORANGE, alpha=0.25, linewidth=0)
    _limit_y(axes, [train, held_out])
    axes.set_ylabel(label)
    for panel in below:
        for i, (player, points) in enumerate(losses.items()):
            panel.plot(*zip(*points, strict=True), color=COLORS[i % len(COLORS)], linewidth=1.2, label=player)
        _limit_y(panel, list(losses.values()))
        panel.set_ylabel("loss in training")
    for panel in (axes, *below):
        panel.set_axisbelow(True)
        panel.grid(alpha=0.25)
        if panel.lines:
            panel.legend(frameon=False)
    (axes, *below)[-1].set_xlabel("step")
    return figure


def curves_of_runs(curves: Sequence[Curve], *, label: str) -> Figure:
    """Returns each curve as a line, its mean over runs, and a band from its lowest to its highest run.

    A curve of one run has no band; a curve that is not finished is dashed.
    """
    figure, axes = new_axes(9, 4.2)
    for i, curve in enumerate(curves):
        values = np.asarray(curve.values, np.float64)
        color = COLORS[i % len(COLORS)]
        marker = MARKERS[i // len(COLORS) % 5]
        style = "-" if curve.finished else "--"
        axes.plot(curve.steps, values.mean(0), style, color=color, marker=marker, markersize=3, label=curve.label)
        if len(values) > 1:
            axes.fill_between(curve.steps, values.min(0), values.max(0), color=color, alpha=0.25, linewidth=0)
    runs = [list(zip(curve.steps, values, strict=True)) for curve in curves for values in curve.values]
    _limit_y(axes, runs)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def over_samples(
    lines: Mapping[str, tuple[Array, Array, Array]],
    *,
    label: str,
    guides: Mapping[str, tuple[Array, Array]] = {},
    logarithmic: bool = False,
) -> Figure:
    """Returns values with standard errors over the number of samples, on a logarithmic axis.

    Args:
      lines: estimator -> (number of samples, value, standard error), each `[points]`.
      label: label of the axis of values.
      guides: name -> (number of samples, value), dashed lines without errors.
      logarithmic: whether the axis of values is logarithmic too.
    """
    figure, axes = new_axes(6.4, 4.0)
    for i, (name, (samples, values, errors)) in enumerate(lines.items()):
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % 5]
        bars = {"color": color, "marker": marker, "markersize": 4, "capsize": 2, "linewidth": 1.2}
        axes.errorbar(samples, values, errors, label=name, **bars)
    for i, (name, (samples, values)) in enumerate(guides.items()):
        axes.plot(samples, values, ("--", ":", "-.")[i % 3], color=GREY, linewidth=1, zorder=1, label=name)
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("samples k")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _series(history: Sequence[Mapping[str, Any]], split: str, metric: str) -> list[tuple[int, float]]:
    """Returns (step, value) of the rows of a split that have "metric" or "player/metric"."""
    rows = [(row["step"], key, row[key]) for row in history if row["split"] == split for key in row]
    return [(step, value) for step, key, value in rows if key.split("/")[-1] == metric]


def _losses(history: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Returns, for each player, (step, loss) of the training rows."""
    losses: dict[str, list[tuple[int, float]]] = {}
    for row in history:
        for key in row if row["split"] == "train" else ():
            player, _, name = key.partition("/")
            if name == "loss":
                losses.setdefault(player, []).append((row["step"], row[key]))
    return losses


def _limit_y(axes: Axes, lines: Sequence[Sequence[tuple[int, float]]]) -> None:
    """Sets the limits of y to the values after the first 5% of each line, points of (step, value).

    The values of an untrained model would flatten the rest. If no line has two later values, all values count.
    """
    finite = [[(step, value) for step, value in line if math.isfinite(value)] for line in lines]
    later = [[value for step, value in line if step > 0.05 * line[-1][0]] for line in finite]
    if max(map(len, later), default=0) < 2:
        later = [[value for _, value in line] for line in finite]
    if values := [value for line in later for value in line]:
        margin = max(0.08 * (max(values) - min(values)), 1e-3 * max(map(abs, values))) or 1
        axes.set_ylim(min(values) - margin, max(values) + margin)
