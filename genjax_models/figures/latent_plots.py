"""Plots of latents: codes in the plane, the KL by dimension, and the factors that each latent reads."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genjax_models.figures.style import BLUE, CLASS_COLORS, INK, ORANGE, PALE, new_axes
from genjax_models.types import Array


def latent_space(codes: Array, labels: Array | None, *, names: Sequence[object] = (0, 1)) -> Figure:
    """Returns codes `[n, 2]`, coloured by class `[n]`; `names` are the indices of the two dimensions."""
    codes = np.asarray(codes)
    figure, axes = new_axes(5.4, 4.8)
    classes, rank = (np.array([]), None) if labels is None else np.unique(np.asarray(labels), return_inverse=True)
    colours = INK if rank is None else np.asarray(CLASS_COLORS)[rank % len(CLASS_COLORS)]
    axes.scatter(codes[:, 0], codes[:, 1], c=colours, s=7, linewidths=0, alpha=0.8)
    if labels is not None:
        cycle = itertools.cycle(CLASS_COLORS)
        handles = [Line2D([], [], color=next(cycle), marker="o", markersize=4, linestyle="") for _ in classes]
        names_of_classes = [str(c) for c in classes]
        legend = {"title": "class", "frameon": False, "loc": "center left", "bbox_to_anchor": (1, 0.5)}
        axes.legend(handles, names_of_classes, **legend)
    axes.set_aspect("equal", adjustable="datalim")  # an unused dimension leaves a flat cloud, not a flat picture
    axes.set_xlabel(f"z[{names[0]}]")
    axes.set_ylabel(f"z[{names[1]}]")
    axes.set_title("Test examples at their codes", fontsize=9)
    axes.grid(alpha=0.25)
    return figure


def latent_space_by_factor(
    codes: Array, factors: Array, names: Sequence[str], *, dimensions: tuple[int, int] = (0, 1)
) -> Figure:
    """Returns codes `[n, 2]` in a panel per factor, coloured by the factors `[n, f]`."""
    codes, factors = np.asarray(codes), np.asarray(factors)
    figure = Figure(figsize=(4.2 * len(names), 3.6), layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), i + 1)
        points = axes.scatter(codes[:, 0], codes[:, 1], c=factors[:, i], cmap="viridis", s=9, linewidths=0)
        figure.colorbar(points, ax=axes, label=name)
        axes.set_xlabel(f"z[{dimensions[0]}]")
        axes.set_ylabel(f"z[{dimensions[1]}]")
        axes.grid(alpha=0.25)
    return figure


def kl_by_dimension(kl: Array, active: Array) -> Figure:
    """Returns bars of the KL `[latent]` in nats, largest first; inactive dimensions are pale."""
    kl, active = np.asarray(kl), np.asarray(active)
    order = np.argsort(-kl)
    figure, axes = new_axes(max(3.0, 0.3 * len(kl) + 1.5), 2.8)
    axes.bar(np.arange(len(kl)), kl[order], color=[BLUE if a else PALE for a in active[order]])
    axes.set_xticks(np.arange(len(kl)), [f"z[{i}]" for i in order], rotation=90 if len(kl) > 8 else 0)
    axes.set_ylabel("KL (nats)")
    axes.grid(alpha=0.25, axis="y")
    return figure


def readings(
    values: Array, errors: Array, rows_below: Sequence[tuple[str, Array, Array]], names: Sequence[str]
) -> Figure:
    """Returns a table of R^2 `[d, f]` with errors, a row per latent; below, further rows of a name, numbers and errors.

    nan is blank.
    """
    latents, (below, more, more_errors) = len(values), zip(*rows_below, strict=True)
    values, errors = np.vstack([values, *more]), np.vstack([errors, *more_errors])
    rows, columns = values.shape
    figure, axes = new_axes(1.0 * columns + 1.4, 0.34 * rows + 0.5)
    axes.imshow(np.nan_to_num(values), cmap=_BLUES, vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(np.isfinite(values)):
        value = round(float(values[row, column]), 2) + 0.0  # no -0.00
        text = f"{value:.2f}" if np.isnan(errors[row, column]) else f"{value:.2f} ± {errors[row, column]:.2f}"
        axes.text(column, row, text, ha="center", va="center", size=8, color="white" if value > 0.55 else INK)
    axes.axhline(latents - 0.5, color=INK, linewidth=1)
    axes.set_xticks(range(columns), names)
    axes.set_yticks(range(rows), [*(f"latent {i}" for i in range(latents)), *below])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def factor_over_seeds(groups: Mapping[str, Mapping[str, Sequence[float]]], factor: str) -> Figure:
    """Returns figures in [0, 1] of one factor: group -> name of the figure -> its value per seed."""
    figure, axes = new_axes(2.2 * len(groups) + 2.2, 3.0)
    for place, rows in enumerate(groups.values()):
        for (name, values), color, marker in zip(rows.items(), (PALE, BLUE, ORANGE), "so^", strict=False):
            across = place + np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [place]
            axes.plot(across, values, marker, color=color, label=name if place == 0 else None)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set(ylim=(0, 1.05), xlim=(-0.5, len(groups) - 0.5), title=f"{factor}, a column per seed", ylabel="R², MIG")
    axes.grid(alpha=0.25, axis="y")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


_BLUES = LinearSegmentedColormap.from_list("blues", ["white", BLUE])
