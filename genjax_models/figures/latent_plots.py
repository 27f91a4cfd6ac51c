"""Plots of latents: codes in the plane, and the KL by dimension."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from genjax_models.figures.style import BLUE, INK, PALE, new_axes
from genjax_models.types import Array


def latent_space(codes: Array, labels: Array | None, *, names: tuple[int, int] = (0, 1)) -> Figure:
    """Returns codes `[n, 2]`, coloured by class `[n]`; `names` are the indices of the two dimensions."""
    codes = np.asarray(codes)
    figure, axes = new_axes(5.4, 4.8)
    points = axes.scatter(
        codes[:, 0],
        codes[:, 1],
        c=INK if labels is None else np.asarray(labels),
        cmap=None if labels is None else "tab10",
        s=7,
        linewidths=0,
        alpha=0.8,
    )
    if labels is not None:
        classes = np.unique(np.asarray(labels))
        handles, _ = points.legend_elements(num=list(classes))
        axes.legend(
            handles, [str(c) for c in classes], title="class", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    axes.set_aspect("equal")
    axes.set_xlabel(f"z[{names[0]}]")
    axes.set_ylabel(f"z[{names[1]}]")
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
