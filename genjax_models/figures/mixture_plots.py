"""Plots of mixtures in the plane: their Gaussian components, and samples over their modes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from genjax_models.figures.style import BLUE, INK, ORANGE, PALE
from genjax_models.types import Array


class Components(NamedTuple):
    """Gaussians in the plane at one step of training: `means` `[m, 2]`, `covariances` `[m, 2, 2]`.

    `weights` `[m]` set their opacity; None draws all alike.
    """

    title: str
    means: Array
    covariances: Array
    weights: Array | None = None


class SampledModes(NamedTuple):
    """Samples `[n, 2]` in the plane, the number of covered modes, of all modes, and the share of good samples."""

    title: str
    samples: Array
    covered: int
    modes: int
    good: float


def components(x: Array, rows: Mapping[str, Sequence[Components]]) -> Figure:
    """Returns data `[n, 2]` with Gaussians over it, each an ellipse one standard deviation from its mean.

    `rows` holds, by name of the model, its Gaussians at several steps, from left to right; "" draws no name.
    """
    x, columns = np.asarray(x), max(map(len, rows.values()))
    figure = Figure(figsize=(3.1 * columns, 3.3 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    reach = 1.08 * np.abs(x).max()
    for row, (name, moments) in zip(grid, rows.items(), strict=True):
        row[0].set_ylabel(f"{name}\nx[1]" if name else "x[1]")
        for axes, moment in zip(row, moments, strict=True):
            axes.scatter(*x.T, s=3, color=INK, alpha=0.25, linewidths=0)
            axes.add_collection(_ellipses(moment))
            axes.set_title(moment.title, fontsize=9)
            axes.set_aspect("equal")
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.grid(alpha=0.25)
    for axes in grid[-1]:
        axes.set_xlabel("x[0]")
    return figure


def sampled_modes(x: Array, rows: Mapping[str, Sequence[SampledModes]]) -> Figure:
    """Returns samples over data `[n, 2]`: a row of panels per name."""
    x, columns = np.asarray(x), max(map(len, rows.values()))
    figure = Figure(figsize=(2.1 * max(columns, 2), 2.5 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    reach = 1.25 * np.abs(x).max()
    for row, (name, panels) in zip(grid, rows.items(), strict=True):
        row[0].set_ylabel(name, fontsize=9)
        for axes, panel in zip(row, panels, strict=False):
            axes.scatter(*x.T, s=14, color=PALE, linewidths=0)
            axes.scatter(*np.asarray(panel.samples).T, s=1.5, color=BLUE, alpha=0.5, linewidths=0)
            if (np.abs(panel.samples) > reach).any(axis=1).all():
                axes.text(0, 0, "all samples outside", ha="center", va="center", fontsize=8, color=INK)
            counts = f"{panel.covered} of {panel.modes} modes, {panel.good:.0%} good"
            axes.set_title(f"{panel.title}\n{counts}", fontsize=8)
        for axes in row:
            axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
        for axes in row[len(panels) :]:
            axes.set_axis_off()
    return figure


def _ellipses(moment: Components) -> PatchCollection:
    """Returns ellipses one standard deviation from each mean, along the eigenvectors of each covariance."""
    variances, directions = np.linalg.eigh(np.asarray(moment.covariances, np.float64))
    widths = 2 * np.sqrt(np.maximum(variances, 0))
    angles = np.degrees(np.arctan2(directions[:, 1, 0], directions[:, 0, 0]))
    patches = [
        Ellipse(mean, *width, angle=angle)
        for mean, width, angle in zip(np.asarray(moment.means), widths, angles, strict=True)
    ]
    weights = np.ones(len(patches)) if moment.weights is None else np.asarray(moment.weights)
    opacity = np.sqrt(weights / weights.max())[:, None]  # the root keeps small weights visible
    colour = np.array(to_rgb(ORANGE))
    edges = np.concatenate([np.tile(colour, (len(opacity), 1)), 0.9 * opacity], axis=1)
    return PatchCollection(patches, facecolors="none", edgecolors=edges, linewidths=0.8)
