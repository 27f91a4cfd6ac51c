"""The picture of importance sampling: draws in the latent plane, their weights, and estimates from k weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genjax_models.figures import pictures
from genjax_models.figures.palette import BLUE, GREY, INK, ORANGE, PALE, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from experiments.studies.importance_sampling.measurement import Study
    from genjax_models.evaluation.posterior_grid import PosteriorGrid

_COLOURS = {"prior": GREY, "encoder": ORANGE, "posterior": BLUE}
_SHOWN = 10.0  # the picture shows the posterior down to this many nats below its mode


def picture(study: Study) -> Figure:
    """Draws the plane and a window around the posterior (above), the weights and the estimates (below)."""
    figure = Figure(figsize=(12, 8), layout="constrained")
    axes = figure.subplot_mosaic("aaabbb;ccddee", height_ratios=(1.25, 1))
    _plane(axes["a"], study)
    _window(axes["b"], study)
    _sorted_weights(axes["c"], study)
    _relative_variance(axes["d"], study)
    _log_estimates(axes["e"], study)
    for panel in axes.values():
        panel.set_axisbelow(True)
        panel.grid(alpha=0.25)
    for name in "ab":
        axes[name].set_xlabel("z[0]")
        axes[name].set_ylabel("z[1]")
    for name in "de":
        axes[name].set_xscale("log")
        axes[name].set_xlabel("samples k")
    return figure


def _plane(axes: Axes, study: Study) -> None:
    grid, prior = study.grid, study.proposals["prior"]
    z = np.asarray(prior.sample(seed=jax.random.key(0), sample_shape=1_000))
    terms = np.asarray(study.likelihood(z).log_prob(study.x), np.float64)
    highest = (grid.log_joint - np.asarray(prior.log_prob(grid.z))).max()
    large = terms > highest + np.log(0.01)
    axes.scatter(*z[~large].T, s=8, color=PALE, linewidths=0, label="terms below 1% of the largest p(x | z)")
    axes.scatter(*z[large].T, s=22, color=RED, linewidths=0, label="terms of at least 1%", zorder=3)
    _regions(axes, grid, grid.log_joint, "posterior", linewidths=1)
    (left, right), (low, high) = ((axis[0], axis[-1]) for axis in grid.axes)
    axes.indicate_inset([left, low, right - left, high - low], edgecolor=INK)
    axes.set_title(f"{len(z):,} draws of the prior; {large.sum()} have p(x | z) of at least 1% of the largest")
    axes.set_xlim(-4, 4)
    axes.set_ylim(-4, 4)
    axes.legend(frameon=True, loc="lower left", fontsize=8)
    if pictures.drawable(study.x.shape):
        inset = axes.inset_axes([0.83, 0.79, 0.16, 0.2])
        inset.imshow(np.asarray(study.x), cmap="gray", vmin=0, vmax=1)
        inset.set_xticks([])
        inset.set_yticks([])
        inset.set_xlabel("x", labelpad=1)


def _window(axes: Axes, study: Study) -> None:
    grid, encoder = study.grid, study.proposals["encoder"]
    highest = grid.log_joint.max()
    axes.pcolormesh(*grid.axes, np.exp(grid.log_joint - highest).T, cmap="Blues", shading="nearest", rasterized=True)
    _regions(axes, grid, grid.log_joint, "posterior", linewidths=1.5)
    _regions(axes, grid, np.asarray(encoder.log_prob(grid.z), np.float64), "encoder", linewidths=1.5)
    z = np.asarray(encoder.sample(seed=jax.random.key(1), sample_shape=200))
    axes.scatter(*z.T, s=8, color=_COLOURS["encoder"], linewidths=0)
    shown = np.nonzero(grid.log_joint > highest - _SHOWN)
    for limit, axis, nodes in zip((axes.set_xlim, axes.set_ylim), grid.axes, shown, strict=True):
        limit(axis[nodes.min()], axis[nodes.max()])
    axes.set_title("Smallest regions with 50% and 95% of the posterior and of the encoder")
    names = {"posterior": "posterior p(z | x), exact", "encoder": "encoder q(z | x), and 200 of its draws"}
    handles = [Line2D([], [], color=_COLOURS[name], label=label) for name, label in names.items()]
    axes.legend(handles=handles, frameon=True, loc="upper right", fontsize=8)


def _sorted_weights(axes: Axes, study: Study) -> None:
    for name, w in study.weights.items():
        share = (np.arange(len(w.log_weights)) + 0.5) / len(w.log_weights)
        axes.plot(share, np.sort(w.log_weights)[::-1] / np.log(10), color=_COLOURS[name], label=name)
    axes.set_xscale("log")
    axes.set_ylim(-20, 5)
    axes.set_xlabel("share of the draws with larger weights")
    axes.set_ylabel(r"$\log_{10}$ of the weight $w / p(x)$")
    axes.set_title("Weights, largest first", fontsize=11)
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def _relative_variance(axes: Axes, study: Study) -> None:
    for name, w in study.weights.items():
        axes.plot(w.samples, w.relative_variance, "o-", markersize=4, color=_COLOURS[name])
    samples = study.weights["prior"].samples
    axes.plot(samples, study.prior_variance / samples, "k--", linewidth=1, label="prior, R / k by quadrature")
    axes.set_yscale("log")
    axes.set_title("Relative variance of the estimate of p(x)", fontsize=11)
    axes.set_ylim(top=50 * study.prior_variance)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def _log_estimates(axes: Axes, study: Study) -> None:
    for name, w in study.weights.items():
        low, median, high = w.log_quantiles.T
        axes.plot(w.samples, median, "o-", markersize=4, color=_COLOURS[name])
        axes.fill_between(w.samples, low, high, color=_COLOURS[name], alpha=0.25, linewidth=0)
    axes.axhline(0, color=INK, linestyle="--", linewidth=1)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylabel("nats")
    axes.set_title("Estimate of log p(x), less log p(x):\nmedian, 10% and 90% quantiles", fontsize=11)


def _regions(axes: Axes, grid: PosteriorGrid, log_density: np.ndarray, name: str, linewidths: float) -> None:
    """Draws contours of the smallest regions with 95% and 50% of a density at the nodes."""
    density = np.exp(log_density - log_density.max())
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    levels = [ordered[np.searchsorted(mass, share)] for share in (0.95, 0.5)]
    axes.contour(*grid.axes, density.T, levels, colors=_COLOURS[name], linewidths=linewidths)
