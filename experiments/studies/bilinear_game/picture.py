"""The picture of the bilinear game: orbits in the plane, and the radius over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from experiments.studies.bilinear_game.theory import factors
from genjax_models.figures.palette import BLUE, GOLD, GREEN, GREY, INK, ORANGE, PINK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from experiments.studies.bilinear_game.measurement import BilinearGame

_SETTLED = 20  # steps after which the optimistic factor is constant
_COLOURS = {
    "simultaneous": ORANGE,
    "alternating": BLUE,
    "continuous": GREY,
    "extragradient": GREEN,
    "optimistic": PINK,
    "consensus": GOLD,
}


def picture(options: BilinearGame, orbits: Mapping[str, np.ndarray]) -> Figure:
    """Draws the orbits without and with a cure, and the radius over steps with its exact factors."""
    figure = Figure(figsize=(13.5, 4.4), layout="constrained")
    plain, cured, radii = figure.subplots(1, 3)
    names = list(orbits)
    _plane(plain, options, {name: orbits[name] for name in names[:3]}, "gradient descent", reach=2.5)
    _plane(cured, options, {name: orbits[name] for name in names[3:]}, "with a cure", reach=1.4)
    steps = np.arange(1 + options.steps)
    for name in names:
        radii.plot(steps, np.linalg.norm(orbits[name], axis=1), color=_COLOURS[name], linewidth=1.4, label=name)
    settled = min(_SETTLED, options.steps)
    for i, (name, factor) in enumerate(factors(options.eta, options.gamma).items()):
        exact = np.linalg.norm(orbits[name][settled]) * factor ** (steps[settled:] - settled)
        label = None if i else "exact factor"
        radii.plot(steps[settled:], exact, ":", color=INK, linewidth=1, label=label)
    radii.set_yscale("log")
    radii.set_ylim(1e-5 * math.hypot(*options.start))
    radii.set_xlabel("step")
    radii.set_ylabel("radius")
    radii.set_title("distance from the equilibrium", fontsize=10)
    radii.legend(frameon=False, fontsize=8)
    for axes in (plain, cured, radii):
        axes.set_axisbelow(True)
        axes.grid(alpha=0.25)
    return figure


def _plane(axes: Axes, options: BilinearGame, orbits: Mapping[str, np.ndarray], title: str, *, reach: float) -> None:
    """Draws orbits within `reach` times the radius of the start."""
    for name, points in orbits.items():
        axes.plot(*points.T, "-", color=_COLOURS[name], linewidth=1.1, marker=".", markersize=2.5, label=name)
    axes.plot(*options.start, "o", color=INK, markersize=5)
    axes.plot(0, 0, "+", color=INK, markersize=9)
    limit = reach * math.hypot(*options.start)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal")
    axes.set_xlabel("a")
    axes.set_ylabel("b")
    axes.set_title(title, fontsize=10)
    axes.legend(edgecolor="none", framealpha=0.9, fontsize=8, loc="lower right")
