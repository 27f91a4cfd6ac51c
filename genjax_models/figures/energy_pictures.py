"""Pictures of energy models: their weights, and what they fill in."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from genjax_models.evaluation.boosting_stages import Stages
from genjax_models.figures import plots
from genjax_models.figures.pictures import Picture
from genjax_models.figures.style import BLUE, GREY, ORANGE
from genjax_models.types import Array


def filters(weights: Array, what: str) -> Picture:
    """Returns weights `[n, height, width, channels]` as images, each on a scale of its own; `what` names the units."""
    weights = np.asarray(weights)
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    figure = plots.image_grid(weights / np.maximum(largest, 1e-12), range=(-1, 1), heading=f"Weights of {what}")
    caption = f"Weights of the {len(weights)} {what}. Grey is 0, white raises the unit, black lowers it."
    return Picture("filters", "Weights", caption, plots.png(figure))


def imputations(
    x: Array, observed: Mapping[str, Array], filled: Mapping[str, Array], range: tuple[float, float] = (0, 1)
) -> Picture:
    """Returns images `[n, ...]`, and per kind of mask the observed pixels and the pictures that a model completed."""
    rows, titles, grey = [np.asarray(x)], ["image"], sum(range) / 2
    for kind, seen in observed.items():
        rows += [np.where(np.asarray(seen), np.asarray(x), grey), np.asarray(filled[kind])]
        titles += [f"{kind}: seen", "filled in"]
    grid = {"titles": titles, "heading": "What the model fills in (missing: grey)"}
    figure = plots.image_grid(np.concatenate(rows), columns=len(x), range=range, **grid)
    caption = "Test images, and for each kind of mask what is seen (missing pixels are grey), and E[missing | seen]."
    return Picture("imputations", "What is filled in", caption, plots.png(figure))


def missing(
    shares: Sequence[float],
    nats: Sequence[Array],
    accuracy: Sequence[Array] | None,
    sweeps: Sequence[int],
    nats_by_sweeps: Sequence[Array],
    trained: int,
) -> Picture:
    """Returns predictions over the missing share, and over the sweeps of inference at half of the pixels missing.

    Args:
      shares: shares of missing pixels; the first is 0.
      nats: nats per missing pixel at all shares but the first.
      accuracy: share of images whose class is found, at each share; None without classes.
      sweeps: numbers of sweeps.
      nats_by_sweeps: nats per missing pixel at each.
      trained: sweeps of training.
    """
    panels = 2 if accuracy is None else 3
    figure = Figure(figsize=(3.4 * panels, 3.0), layout="constrained")
    first, *classes, last = figure.subplots(1, panels)
    first.plot(shares[1:], nats, color=BLUE, marker="o", markersize=3)
    first.set(xlabel="share of pixels missing", ylabel="nats per missing pixel")
    for axes in classes:
        axes.plot(shares, accuracy, color=BLUE, marker="o", markersize=3)
        axes.set(xlabel="share of pixels missing", ylabel="class accuracy")
    last.plot(sweeps, nats_by_sweeps, color=ORANGE, marker="o", markersize=3)
    last.axvline(trained, color=GREY, linestyle=":")
    last.set(xscale="log", xlabel="sweeps of mean field (dotted: in training)", ylabel="nats per missing pixel")
    for axes in (first, *classes, last):
        axes.grid(alpha=0.25)
    caption = "Test images with pixels missing at random. Right: half of the pixels missing."
    return Picture("missing", "What can be inferred from what is left", caption, plots.png(figure))


def stages(features: Mapping[str, Array], exact: Stages | None) -> Picture:
    """Returns what each stage of boosting gained.

    Args:
      features: "coefficient", "gain" and "loss" of each stage, `[T]`.
      exact: figures by enumeration, of models that are small enough.
    """
    coefficients, gains, losses = (np.asarray(features[name]) for name in ("coefficient", "gain", "loss"))
    at = np.arange(1, len(gains) + 1)
    figure = Figure(figsize=(9.6, 3.0), layout="constrained")
    if exact is None:
        first, middle, last = figure.subplots(1, 3)
        first.plot(at, np.cumsum(gains), color=BLUE, marker="o", markersize=3)
        first.set(xlabel="stage", ylabel="sum of gains (nats)")
        middle.plot(at, np.where(losses > 0, losses, np.nan), color=ORANGE, marker="o", markersize=3)
        middle.axhline(math.log(4), color=GREY, linestyle=":", label="log 4: it knows nothing")
        middle.set(xlabel="stage", ylabel="discriminator's loss (nats)")
        middle.legend(frameon=False)
        caption = (
            "Left: gains of log-likelihood that the negatives promise, added up. Middle: loss of each discriminator"
            " before the answer."
        )
    else:
        first, middle, last = figure.subplots(1, 3)
        first.plot([0, *at], exact.kl, color=BLUE, marker="o", markersize=3, label="exact")
        first.plot([0, *at], exact.kl[0] - np.cumsum([0, *gains]), color=GREY, linestyle=":", label="promised")
        first.set(xlabel="stage", ylabel="KL(data || model) (nats)", ylim=(0, None))
        first.legend(frameon=False)
        middle.plot(at, exact.before, color=ORANGE, marker="o", markersize=3, label="before the answer")
        middle.plot(at, exact.after, color=BLUE, marker="o", markersize=3, label="after it")
        middle.axhline(math.log(4), color=GREY, linestyle=":", label="log 4: it knows nothing")
        middle.set(xlabel="stage", ylabel="discriminator's loss (nats)")
        middle.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        caption = (
            "By enumeration. Left: KL(data || model), and what the gains on the negatives promised. Middle: least loss"
            " of a logistic regression on the stage's feature."
        )
    last.bar(at, np.asarray(coefficients), color=BLUE)
    last.set(xlabel="stage", ylabel="coefficient")
    for axes in figure.axes:
        axes.grid(alpha=0.25)
    return Picture("stages", "Stage by stage", f"{caption} Right: the coefficient of each feature.", plots.png(figure))
