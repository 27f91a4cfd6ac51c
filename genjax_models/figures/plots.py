"""Pictures: arrays in, a matplotlib `Figure` out. Nothing here is global, so that notebooks and threads may call it."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from genjax_models.types import Array

_INK = "#1f2933"
_BLUE, _ORANGE = "#2364aa", "#e07a1f"
# Told apart by the colour blind too (Okabe and Ito, 2008).
_CYCLE = (_BLUE, _ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#b8860b", _INK)


# What stands for a held-out figure that training does not compute, where something does.
_IN_TRAINING = {"log_likelihood": "bound", "squared_error": "loss"}


class Curve(NamedTuple):
    """Values `[runs, points]` at `steps` `[points]`, of runs that belong together."""

    label: str
    steps: Array
    values: Array
    finished: bool = True


class Components(NamedTuple):
    """Gaussians in the plane at one moment of training: `means` `[m, 2]`, `covariances` `[m, 2, 2]`.

    `weights` `[m]` shade them; None is all alike.
    """

    title: str
    means: Array
    covariances: Array
    weights: Array | None = None


class SampledModes(NamedTuple):
    """Samples `[n, 2]` in the plane, the number of modes that they cover of all, and the share of good samples."""

    title: str
    samples: Array
    covered: int
    modes: int
    good: float


def png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


def image_grid(
    images: Array, *, columns: int | None = None, range: tuple[float, float] = (0, 1), titles: Sequence[str] = ()
) -> Figure:
    """Images `[n, height, width, 1 or 3]` in rows; `titles` stand at the left of the rows."""
    images = np.asarray(images)
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    mosaic = _mosaic(images, rows, columns, range)
    figure, axes = _figure(0.55 * columns + (0.9 if titles else 0), 0.55 * rows * images.shape[1] / images.shape[2])
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    height = mosaic.shape[0] / rows
    axes.set_yticks([height * (row + 0.5) for row, _ in enumerate(titles)], titles)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def reconstructions(x: Array, reconstruction: Array, *, pairs: int = 10, range: tuple[float, float] = (0, 1)) -> Figure:
    """Inputs `[n, ...]` above what came back of them."""
    both = np.concatenate([np.asarray(x)[:pairs], np.asarray(reconstruction)[:pairs]])
    return image_grid(both, columns=min(pairs, len(x)), range=range, titles=("input", "output"))


def curves(history: Sequence[Mapping[str, Any]], metric: str, *, label: str) -> Figure:
    """`metric` over steps: training as a line, validation with its standard error.

    Training is "player/metric", or the bound or loss that stands for it (`_IN_TRAINING`). Where it has neither, as in a
    game, whose losses are no measure of it, each player's loss has a line in axes of their own, below.
    """
    counterpart = metric if _series(history, "train", metric) else _IN_TRAINING.get(metric, "")
    train, held_out = _series(history, "train", counterpart), _series(history, "validation", metric)
    losses = {} if train else _losses(history)
    figure = Figure(figsize=(6.4, 6.0 if losses else 3.6), layout="constrained")
    axes, *below = figure.subplots(2 if losses else 1, sharex=True, squeeze=False)[:, 0]
    if train:
        name = "training" if counterpart == metric else f"training ({counterpart})"
        axes.plot(*zip(*train, strict=True), color=_BLUE, linewidth=1.2, label=name)
    if held_out:
        steps, values = map(np.asarray, zip(*held_out, strict=True))
        errors = np.nan_to_num([error for _, error in _series(history, "validation", f"{metric}_se")] or 0.0)
        axes.plot(steps, values, color=_ORANGE, marker="o", markersize=3, label="validation")
        axes.fill_between(steps, values - errors, values + errors, color=_ORANGE, alpha=0.25, linewidth=0)
    _leave_out_the_first_strides(axes, [train, held_out])
    axes.set_ylabel(label)
    for panel in below:
        for i, (player, points) in enumerate(losses.items()):
            panel.plot(*zip(*points, strict=True), color=_CYCLE[i % len(_CYCLE)], linewidth=1.2, label=player)
        _leave_out_the_first_strides(panel, list(losses.values()))
        panel.set_ylabel("loss in training")
    for panel in (axes, *below):
        panel.set_axisbelow(True)
        panel.grid(alpha=0.25)
        if panel.lines:
            panel.legend(frameon=False)
    (axes, *below)[-1].set_xlabel("step")
    return figure


def curves_of_runs(curves: Sequence[Curve], *, label: str) -> Figure:
    """Each curve's mean over its runs as a line, from its lowest to its highest run as a band.

    A curve of one run has no band, one that is not finished is dashed.
    """
    figure, axes = _figure(9, 4.2)
    for i, curve in enumerate(curves):
        values = np.asarray(curve.values, np.float64)
        color = _CYCLE[i % len(_CYCLE)]
        marker = "os^Dv"[i // len(_CYCLE) % 5]
        style = "-" if curve.finished else "--"
        axes.plot(curve.steps, values.mean(0), style, color=color, marker=marker, markersize=3, label=curve.label)
        if len(values) > 1:
            axes.fill_between(curve.steps, values.min(0), values.max(0), color=color, alpha=0.25, linewidth=0)
    runs = [list(zip(curve.steps, values, strict=True)) for curve in curves for values in curve.values]
    _leave_out_the_first_strides(axes, runs)
    axes.set_xlabel("step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def manifold(images: Array, *, range: tuple[float, float] = (0, 1)) -> Figure:
    """g(z) on the grid of `manifold_grid`, images `[side^2, height, width, channels]` (Fig. 20.6)."""
    side = math.isqrt(len(images))
    mosaic = _mosaic(np.asarray(images), side, side, range, gap=0)
    figure, axes = _figure(6, 6)
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    return figure


def manifold_grid(side: int) -> np.ndarray:
    """Codes `[side^2, 2]` at equal steps of probability: a square grid through the inverse Gaussian CDF.

    Rows run down from the largest second coordinate, columns from the smallest first one.
    """
    from scipy.stats import norm

    steps = norm.ppf((np.arange(side) + 0.5) / side)
    first, second = np.meshgrid(steps, steps[::-1])
    return np.stack([first.ravel(), second.ravel()], axis=-1).astype(np.float32)


def latent_space(codes: Array, labels: Array | None, *, names: tuple[int, int] = (0, 1)) -> Figure:
    """Codes `[n, 2]` coloured by class `[n]`; `names` are the dimensions that they are."""
    codes = np.asarray(codes)
    figure, axes = _figure(5.4, 4.8)
    points = axes.scatter(
        codes[:, 0],
        codes[:, 1],
        c=_INK if labels is None else np.asarray(labels),
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


def kl_by_dimension(kl: Array, active: Array) -> Figure:
    """KL `[latent]` in nats, largest first; units that are not active are pale."""
    kl, active = np.asarray(kl), np.asarray(active)
    order = np.argsort(-kl)
    figure, axes = _figure(max(3.0, 0.3 * len(kl) + 1.5), 2.8)
    axes.bar(np.arange(len(kl)), kl[order], color=[_BLUE if a else "#c3ccd5" for a in active[order]])
    axes.set_xticks(np.arange(len(kl)), [f"z[{i}]" for i in order], rotation=90 if len(kl) > 8 else 0)
    axes.set_ylabel("KL (nats)")
    axes.grid(alpha=0.25, axis="y")
    return figure


def components(x: Array, rows: Mapping[str, Sequence[Components]]) -> Figure:
    """Data `[n, 2]` under Gaussians, each an ellipse one standard deviation from its mean.

    `rows` are models by name, each at several moments, from left to right; an empty name is not shown.
    """
    x, columns = np.asarray(x), max(map(len, rows.values()))
    figure = Figure(figsize=(3.1 * columns, 3.3 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    reach = 1.08 * np.abs(x).max()
    for axes_of_row, (name, moments) in zip(grid, rows.items(), strict=True):
        axes_of_row[0].set_ylabel(name)
        for axes, moment in zip(axes_of_row, moments, strict=True):
            axes.scatter(*x.T, s=3, color=_INK, alpha=0.25, linewidths=0)
            axes.add_collection(_ellipses(moment))
            axes.set_title(moment.title, fontsize=9)
            axes.set_aspect("equal")
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.grid(alpha=0.25)
    return figure


def over_samples(
    lines: Mapping[str, tuple[Array, Array, Array]],
    *,
    label: str,
    guides: Mapping[str, tuple[Array, Array]] = {},
    logarithmic: bool = False,
) -> Figure:
    """(number of samples, value, standard error), each `[points]`, of each estimator; the first on a logarithmic axis.

    `guides` are dashed lines without errors; `logarithmic` is the axis of values.
    """
    figure, axes = _figure(6.4, 4.0)
    for i, (name, (samples, values, errors)) in enumerate(lines.items()):
        color, marker = _CYCLE[i % len(_CYCLE)], "os^Dv"[i % 5]
        bars = {"color": color, "marker": marker, "markersize": 4, "capsize": 2, "linewidth": 1.2}
        axes.errorbar(samples, values, errors, label=name, **bars)
    for i, (name, (samples, values)) in enumerate(guides.items()):
        axes.plot(samples, values, ("--", ":", "-.")[i % 3], color="#7b8794", linewidth=1, zorder=1, label=name)
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("samples k")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    return figure


def _ellipses(moment: Components) -> PatchCollection:
    """One standard deviation around each mean, along the eigenvectors of each covariance."""
    variances, directions = np.linalg.eigh(np.asarray(moment.covariances, np.float64))
    widths = 2 * np.sqrt(np.maximum(variances, 0))
    angles = np.degrees(np.arctan2(directions[:, 1, 0], directions[:, 0, 0]))
    patches = [
        Ellipse(mean, *width, angle=angle)
        for mean, width, angle in zip(np.asarray(moment.means), widths, angles, strict=True)
    ]
    weights = np.ones(len(patches)) if moment.weights is None else np.asarray(moment.weights)
    shade = np.sqrt(weights / weights.max())[:, None]  # an area that is seen, where a weight is small
    colour = np.array(to_rgb(_ORANGE))
    edges = np.concatenate([np.tile(colour, (len(shade), 1)), 0.9 * shade], axis=1)
    return PatchCollection(patches, facecolors="none", edgecolors=edges, linewidths=0.8)


def _series(history: Sequence[Mapping[str, Any]], split: str, metric: str) -> list[tuple[int, float]]:
    """(step, value) of the rows of a split that have "metric" or "player/metric"."""
    rows = [(row["step"], key, row[key]) for row in history if row["split"] == split for key in row]
    return [(step, value) for step, key, value in rows if key.split("/")[-1] == metric]


def _losses(history: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """(step, loss) of the training rows, of each player."""
    losses: dict[str, list[tuple[int, float]]] = {}
    for row in history:
        for key in row if row["split"] == "train" else ():
            player, _, name = key.partition("/")
            if name == "loss":
                losses.setdefault(player, []).append((row["step"], row[key]))
    return losses


def _leave_out_the_first_strides(axes, lines: Sequence[Sequence[tuple[int, float]]]) -> None:
    """Limits of y by what (step, value) come after the first 5% of each line: before, an untrained model would flatten
    everything else."""
    ends = [max((step for step, _ in line), default=0) for line in lines]
    if later := [
        value
        for line, end in zip(lines, ends, strict=True)
        for step, value in line
        if step > 0.05 * end and math.isfinite(value)
    ]:
        margin = 0.08 * (max(later) - min(later)) + 1e-9
        axes.set_ylim(min(later) - margin, max(later) + margin)


def _figure(width: float, height: float):
    figure = Figure(figsize=(max(width, 1.5), max(height, 1.0)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    return figure, axes


def _mosaic(images: np.ndarray, rows: int, columns: int, range: tuple[float, float], gap: int = 1) -> np.ndarray:
    height, width, channels = images.shape[1:]
    if channels not in (1, 3):
        raise ValueError(f"pictures have 1 or 3 channels, got {channels}")
    unit = np.clip((images - range[0]) / (range[1] - range[0]), 0, 1)
    mosaic = np.ones((rows * (height + gap), columns * (width + gap), channels), np.float32)
    for i, image in enumerate(unit):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        mosaic[top : top + height, left : left + width] = image
    return np.repeat(mosaic, 3, axis=-1) if channels == 1 else mosaic


def sampled_modes(x: Array, rows: Mapping[str, Sequence[SampledModes]]) -> Figure:
    """Returns samples over data `[n, 2]`: a row per name, with its samples from left to right."""
    x, columns = np.asarray(x), max(map(len, rows.values()))
    figure = Figure(figsize=(2.1 * max(columns, 2), 2.5 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    reach = 1.25 * np.abs(x).max()
    for row, (name, panels) in zip(grid, rows.items(), strict=True):
        row[0].set_ylabel(name, fontsize=9)
        for axes, panel in zip(row, panels, strict=False):
            axes.scatter(*x.T, s=14, color="#c3ccd5", linewidths=0)
            axes.scatter(*np.asarray(panel.samples).T, s=1.5, color=_BLUE, alpha=0.5, linewidths=0)
            counts = f"{panel.covered} of {panel.modes} modes, {panel.good:.0%} good"
            axes.set_title(f"{panel.title}\n{counts}", fontsize=8)
        for axes in row:
            axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
        for axes in row[len(panels) :]:
            axes.set_axis_off()
    return figure
