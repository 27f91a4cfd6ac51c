"""Pictures of vectors: data and draws, feature by feature, in pairs, and by their moments."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genjax_models.figures.pictures import Picture
from genjax_models.figures.plots import png
from genjax_models.figures.style import BLUE, GREY, INK, ORANGE, PALE
from genjax_models.types import Array

_MOST = 4  # features that are shown in pairs
_POINTS = 500  # of data, and of draws, in a panel
_MANY = 20_000  # pairs of features, of which fewer are shown
_JITTER = 0.15  # of whole numbers, which would hide each other


def draws_of_vectors(x: Array, draws: Array, content: str = "draws of x") -> Picture:
    """Returns data `[n, d]` and draws `[m, d]`: histograms and pairs of at most four features, and moments of all.

    `content` describes the draws.
    """
    x, draws = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (x, draws))
    features = most_correlated(x, _MOST)
    k, further = len(features), x.shape[1] > 1
    figure = Figure(figsize=(1.6 * k + (3.0 if further else 1.2), max(1.6 * k, 3.0)), layout="constrained")
    left, *right = figure.subfigures(
        1, 2 if further else 1, width_ratios=[1.6 * k, 2.6] if further else None, squeeze=False
    )[0]
    _in_pairs(left, x, draws, features)
    caption = f"{len(x):,} test examples (grey) and {len(draws):,} {content} (blue)."
    if k < x.shape[1]:
        caption += f" In pairs: the {k} features that correlate most with the others."
    for place in right:
        above, *below = np.ravel(place.subplots(2 if x.shape[1] > 2 else 1, 1))
        _on_one_line(
            above, [(x.mean(0), draws.mean(0), "mean", BLUE, "o"), (x.std(0), draws.std(0), "deviation", ORANGE, "^")]
        )
        for axes in below:
            _on_one_line(axes, [(_correlations(x), _correlations(draws), "correlation", BLUE, "o")])
        moments = "means, standard deviations and correlations" if below else "means and standard deviations"
        caption += f" Right: {moments} of all features; on the line, draws equal data."
    return Picture("draws", "Data and draws", caption, png(figure))


def most_correlated(x: np.ndarray, most: int) -> list[int]:
    """Returns the features of `[n, d]` with the largest sums of squared correlations, in their order."""
    if x.shape[1] <= most:
        return list(range(x.shape[1]))
    strengths = (_correlation_matrix(x) ** 2).sum(axis=0)
    return sorted(int(i) for i in np.argsort(-strengths, kind="stable")[:most])


def _in_pairs(place: Figure, x: np.ndarray, draws: np.ndarray, features: Sequence[int]) -> None:
    """Draws histograms on the diagonal, and pairs of features below it."""
    k, random = len(features), np.random.RandomState(0)
    some, others = (a[:_POINTS] for a in (x, draws))
    grid = place.subplots(k, k, squeeze=False, sharex="col")
    for row, one in enumerate(features):
        for column, other in enumerate(features):
            axes = grid[row, column]
            if column > row:
                axes.set_axis_off()
            elif column == row:
                _histograms(axes, x[:, one], draws[:, one])
            else:
                for points, colour, size in ((some, GREY, 5), (others, BLUE, 3)):
                    flat = [_apart(points[:, feature], random) for feature in (other, one)]
                    axes.scatter(*flat, s=size, color=colour, alpha=0.5, linewidths=0)
            axes.tick_params(labelsize=7)
            if column == 0:
                axes.set_ylabel(f"x[{one}]" if row else "density", fontsize=8)
            if row == k - 1:
                axes.set_xlabel(f"x[{other}]", fontsize=8)


def _histograms(axes: Axes, x: np.ndarray, draws: np.ndarray) -> None:
    low, high = min(x.min(), draws.min()), max(x.max(), draws.max())
    bins = [float(edge) for edge in np.linspace(low, high, 25)] if high > low else [low - 0.5, low + 0.5]
    axes.hist(x, bins, density=True, color=PALE, label="data")
    axes.hist(draws, bins, density=True, histtype="step", color=BLUE, label="draws")
    axes.set_yticks([])


def _on_one_line(axes: Axes, groups: Sequence[tuple[np.ndarray, np.ndarray, str, str, str]]) -> None:
    """Draws figures of draws over figures of data, and the line of equality."""
    for of_data, of_draws, name, colour, marker in groups:
        axes.scatter(of_data, of_draws, s=8, color=colour, marker=marker, alpha=0.6, linewidths=0, label=name)
    axes.axline((0, 0), slope=1, color=INK, linewidth=0.8, zorder=0)
    axes.set_xlabel("data", fontsize=8)
    axes.set_ylabel("draws", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=7)


def _correlations(x: np.ndarray) -> np.ndarray:
    """Returns the correlations of all pairs of features; of very many pairs, of some at equal distances."""
    pairs = _correlation_matrix(x)[np.triu_indices(x.shape[1], 1)]
    return pairs[:: -(-len(pairs) // _MANY) or 1]


def _correlation_matrix(x: np.ndarray) -> np.ndarray:
    """Returns correlations `[d, d]`; 0 for features that do not vary."""
    deviation = x.std(axis=0)
    standard = (x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return standard.T @ standard / len(x)


def _apart(values: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Returns the values; whole numbers are moved a little, so that equal ones are seen."""
    whole = np.all(values == np.round(values))
    return values + random.uniform(-_JITTER, _JITTER, len(values)) if whole else values
