"""Pictures of sequences: draws and continuations, the terms of a filter by step, and the ancestors of its particles."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genjax_models.figures.pictures import Picture
from genjax_models.figures.plots import png
from genjax_models.figures.style import BLUE, COLORS, GREY, INK, ORANGE, PALE
from genjax_models.types import Array

_ORDER = ["elbo", "iwae", "fivo"]
_LEAST = 5  # sequences whose mean is drawn


class Look(NamedTuple):
    """How a sequence `[time, d]` is drawn.

    rows: whether steps are rows of an image, drawn from above to below. Other steps are drawn from left to right.
    binary: whether values are 0 (white) or 1 (black). Other values are purple below zero and orange above.
    largest: absolute value of the strongest colour of values that are not binary.
    """

    rows: bool = False
    binary: bool = True
    largest: float = 1.0


def look_of(sequences: Sequence[Array], *, rows: bool, binary: bool) -> Look:
    """Returns how to draw these sequences and others on the same scale."""
    return Look(rows, binary, max(float(np.max(np.abs(sequence))) for sequence in sequences))


def draws(sequences: Mapping[str, Sequence[Array]], look: Look) -> Picture:
    """Returns sequences `[time, d]`, a row for each name."""
    columns = max(map(len, sequences.values()))
    figure, grid = _grid(len(sequences), columns, look, "Test sequences, and draws from p(x)")
    for (name, row), axes in zip(sequences.items(), grid, strict=True):
        axes[0].set_ylabel(name, fontsize=8)
        for cell, sequence in zip(axes, row, strict=False):
            _show(cell, sequence, look)
    caption = "Sequences of the test split, and draws from p(x). " + _in_words(look)
    return Picture("draws", "Draws", caption, png(figure, dpi=150))


def continuations(truth: Sequence[Array], drawn: Sequence[Sequence[Array]], seen: Array, look: Look) -> Picture:
    """Returns test sequences, a row each, and beside each the same beginning with drawn continuations.

    Args:
      truth: sequences `[time, d]`.
      drawn: for each sequence, its continuations `[time, d]`, which begin with the steps that were seen.
      seen: number of steps that were seen of each, `[rows]`.
      look: how a sequence is drawn.
    """
    figure, grid = _grid(len(truth), 1 + len(drawn[0]), look, "Test sequences, and continuations after the line")
    for axes, sequence, others, steps in zip(grid, truth, drawn, seen, strict=True):
        for cell, shown in zip(axes, [sequence, *others], strict=True):
            _show(cell, shown, look)
            line = cell.axhline if look.rows else cell.axvline
            line(steps - 0.5, color=ORANGE if look.binary else INK, linewidth=1)
    grid[0, 0].set_title("data", fontsize=8)
    for i, cell in enumerate(grid[0, 1:], start=1):
        cell.set_title(f"continuation {i}", fontsize=8)
    caption = "Test sequences, and continuations drawn after the line, given the steps before it. " + _in_words(look)
    return Picture("continuations", "Continuations", caption, png(figure, dpi=150))


def by_step(filtered: Mapping[str, Any]) -> Picture:
    """Returns the mean evidence gained by a step, KL and effective sample size by step.

    Args:
      filtered: name of a bound -> its `HeldOutFiltering`.
    """
    one = next(iter(filtered.values()))
    mask = np.asarray(one.mask)
    steps = int(np.sum(mask.sum(axis=0) >= min(_LEAST, len(mask))))
    time, particles = np.arange(1, steps + 1), np.shape(one.log_weights)[2]
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    evidence, kl, size = figure.subplots(3, sharex=True)
    for name, colour in zip(sorted(filtered, key=_ORDER.index), COLORS, strict=False):
        terms = filtered[name]
        label = name.upper()
        gained = np.diff(np.asarray(terms.evidence, np.float64), axis=1, prepend=0)
        _mean_of_running(evidence, time, gained, mask, colour, label)
        if name != "elbo" or len(filtered) == 1:  # its particles are those of IWAE
            _mean_of_running(kl, time, np.asarray(terms.kl, np.float64), mask, colour, label)
            _mean_of_running(size, time, np.asarray(terms.effective_sample_size, np.float64), mask, colour, label)
    evidence.set_ylabel("evidence gained (nats)")
    kl.set_ylabel("KL (nats)")
    size.set_ylabel(f"effective particles of {particles}")
    size.set_ylim(0.9, particles + 0.1)
    size.set_xlabel("step")
    for axes in (evidence, kl, size):
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    caption = (
        "Means over the test sequences that have the step, with standard errors: log p^(x_1..t) - log p^(x_1..t-1), the"
        f" KL of q from p, and the effective sample size of {particles} particles before any resampling. Steps that"
        f" fewer than {_LEAST} sequences have are left out."
    )
    return Picture("by_step", "Evidence, KL and particles by step", caption, png(figure))


def ancestors(filtering: Any, sequence: int = 0) -> Picture:
    """Returns the particles of one sequence as a tree, from a `HeldOutFiltering` with ancestors."""
    steps = int(np.sum(filtering.mask[sequence]))
    tree = np.asarray(filtering.ancestors[sequence])[: steps - 1]  # the parents of the particles of the next step
    weights = np.asarray(filtering.log_weights[sequence], np.float64)[:steps]
    weights = np.exp(weights - weights.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    resampled = np.asarray(filtering.resampled[sequence])[:steps]
    k = tree.shape[1]
    figure = Figure(figsize=(min(12, max(4, 0.18 * steps)), 0.5 + 0.3 * min(k, 16)), layout="constrained")
    axes = figure.add_subplot()
    time = np.arange(1, steps + 1)
    for step in time[resampled]:
        axes.axvline(step + 0.5, color=PALE, linewidth=0.8, linestyle=":", zorder=0)
    kept = np.zeros((steps, k), bool)
    kept[np.arange(steps)[:, None], lineages(tree)] = True
    for t in range(steps - 1):
        for i, j in enumerate(tree[t]):
            alive = kept[t + 1, i]
            axes.plot([t + 1, t + 2], [j, i], color=BLUE if alive else PALE, linewidth=1.4 if alive else 0.8, zorder=1)
    at, particle = np.meshgrid(time, np.arange(k), indexing="ij")
    colours = np.where(kept, BLUE, GREY)
    axes.scatter(at.ravel(), particle.ravel(), s=2 + 60 * weights.ravel() / 2, c=colours.ravel(), zorder=2)
    axes.set_yticks([])
    axes.set_xlabel("step")
    axes.set_ylabel("particle")
    axes.set_xlim(0.3, steps + 0.7)
    for spine in ("left", "right", "top"):
        axes.spines[spine].set_visible(False)
    axes.tick_params(colors=INK)
    common = common_ancestor(tree)
    caption = (
        f"The {k} particles of one test sequence. A line joins a particle with its ancestor; a dot is larger the more"
        f" weight it has. Dotted: the {int(resampled.sum())} of {steps} steps after which the filter resampled. Blue:"
        f" ancestors of the last particles. They have one common ancestor up to step {common}."
    )
    return Picture("ancestors", "Ancestors of the particles", caption, png(figure, dpi=150))


def lineages(parents: Array) -> np.ndarray:
    """Returns for each last particle the index of its ancestor at every step, `[steps, k]`."""
    last = np.arange(np.shape(parents)[1])
    path = [last]
    for row in np.asarray(parents)[::-1]:
        path.append(row[path[-1]])
    return np.stack(path[::-1])


def common_ancestor(parents: Array) -> int:
    """Returns the last step, from 1, at which all last particles have the same ancestor; 0 if there is none."""
    same = np.all(lineages(parents) == lineages(parents)[:, :1], axis=1)
    return int(np.max(np.flatnonzero(same) + 1, initial=0))


def _grid(rows: int, columns: int, look: Look, heading: str) -> tuple[Figure, np.ndarray]:
    """Returns a figure with a heading, whose axes have names, and its empty cells."""
    width, height = (1.0, 1.1) if look.rows else (9 / columns, 1.1)
    figure = Figure(figsize=(width * columns + 0.6, height * rows + 0.7), layout="constrained")
    figure.suptitle(heading, fontsize=9)
    across, down = ("feature", "step") if look.rows else ("step", "feature")
    figure.supxlabel(across, fontsize=8)
    figure.supylabel(down, fontsize=8)
    grid = figure.subplots(rows, columns, squeeze=False)
    for cell in grid.ravel():
        cell.set_xticks([])
        cell.set_yticks([])
        for spine in cell.spines.values():
            spine.set_color(PALE)
    return figure, grid


def _show(cell: Axes, sequence: Array, look: Look) -> None:
    sequence = np.asarray(sequence)
    colours = {"cmap": "gray_r", "vmin": 0, "vmax": 1} if look.binary else _either_side(look.largest)
    picture = sequence if look.rows else sequence.T
    cell.imshow(
        picture, aspect="equal" if look.rows else "auto", origin="upper" if look.rows else "lower",
        interpolation="nearest", **colours,
    )  # fmt: skip


def _either_side(largest: float) -> dict[str, Any]:
    return {"cmap": "PuOr_r", "vmin": -largest, "vmax": largest}


def _in_words(look: Look) -> str:
    if look.rows:
        return "A step is a row of pixels."
    colours = "black is 1" if look.binary else f"purple is -{look.largest:.2g}, orange {look.largest:.2g}"
    return f"Time runs from left to right, features from below; {colours}."


def _mean_of_running(axes: Axes, time: np.ndarray, values: np.ndarray, mask: np.ndarray, colour: str, label: str):
    """Draws mean and standard error of `values` `[n, time]` over the sequences that have the step."""
    values, mask = values[:, : len(time)], mask[:, : len(time)]
    count = mask.sum(axis=0)
    mean = np.where(mask, values, 0).sum(axis=0) / count
    square = np.where(mask, (values - mean) ** 2, 0).sum(axis=0)
    error = np.sqrt(square / np.maximum(count - 1, 1) / count)
    axes.plot(time, mean, color=colour, linewidth=1.2, label=label)
    axes.fill_between(time, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
