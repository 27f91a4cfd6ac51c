"""Figures with captions that say what to look at: what reports show."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD, LatentUsage
from genjax_models.figures import plots
from genjax_models.types import Array, Shape

_STRIP = 8  # rows in the picture of learning
Range = tuple[float, float]


class Picture(NamedTuple):
    """A PNG file with a caption; `name` is its file's name without .png."""

    name: str
    title: str
    caption: str
    png: bytes


def drawable(shape: Shape) -> bool:
    """Whether examples of this shape are images that can be shown."""
    return len(shape) == 3 and shape[2] in (1, 3)


def samples(images: Array, step: int, shown: str, range: Range) -> Picture:
    """Samples `[n, ...]` after `step` steps; `shown` says what they are."""
    figure = plots.image_grid(images, range=range)
    return Picture("samples", "Samples", f"After {step:,} steps. Shown is {shown}.", plots.png(figure))


def learning(seen: Sequence[tuple[int, Array]], shown: str, range: Range) -> Picture:
    """Samples from the same noise at several steps: `seen` are (step, images `[n, ...]`)."""
    chosen = sorted(set(np.linspace(0, len(seen) - 1, min(_STRIP, len(seen))).round().astype(int)))
    rows = [seen[i] for i in chosen]
    columns = min(10, len(rows[0][1]))
    images = np.concatenate([images[:columns] for _, images in rows])
    figure = plots.image_grid(images, columns=columns, range=range, titles=[f"step {step:,}" for step, _ in rows])
    caption = f"The same {columns} draws of noise at every step. Shown is {shown}."
    return Picture("learning", "Learning", caption, plots.png(figure))


def curves(history: Sequence[Mapping[str, Any]], metric: str, unit: str) -> Picture:
    """`metric` over steps, training and validation; of a game also each player's loss."""
    words = metric.replace("_", " ")
    figure = plots.curves(history, metric, label=f"{words} ({unit})" if unit else words)
    caption = (
        "Training: means over the steps since the point before. Validation: mean and standard error over examples."
    )
    if len(figure.axes) > 1:
        caption += " Below: each player's loss, which need not fall while samples become better."
    return Picture("curves", "Curves", caption, plots.png(figure))


def reconstructions(x: Array, back: Array, what: str, range: Range) -> Picture:
    """Inputs `[n, ...]` above outputs; `what` says what the outputs are."""
    figure = plots.reconstructions(x, back, range=range)
    caption = f"Test images above {what}. What differs is what the code has lost."
    return Picture("reconstructions", "Reconstructions", caption, plots.png(figure))


def reconstructions_and_noise(x: Array, back: Array, noise: Array, range: Range) -> Picture:
    """Inputs, g(f(x)) and g(noise), each `[n, ...]`, in three rows."""
    images = np.concatenate([np.asarray(x), np.asarray(back), np.asarray(noise)])
    figure = plots.image_grid(images, columns=len(x), range=range, titles=("input x", "g(f(x))", "g(noise)"))
    caption = (
        "Test images, what comes back of them, and decoded noise z ~ N(0, I): the codes of images reconstruct, but"
        " nothing has made N(0, I) the place where codes are. To generate, a model must say what p(z) is (1.3.1)."
    )
    return Picture("reconstructions", "Reconstructions and noise", caption, plots.png(figure))


def manifold(generate: Callable[[Array], Array], range: Range) -> Picture:
    """`generate` `[n, 2]` -> images, over the plane of a two-dimensional z (Fig. 20.6)."""
    figure = plots.manifold(generate(plots.manifold_grid(20)), range=range)
    caption = (
        "g(z) = E[x | z] on a grid of z at equal steps of prior probability (through the inverse Gaussian CDF), as in"
        " Fig. 20.6: neighbours in z look alike, and each class has its region."
    )
    return Picture("manifold", "The manifold", caption, plots.png(figure, dpi=150))


def latent_space(codes: Array, labels: Array | None, activity: Array, what: str) -> Picture:
    """Codes `[n, latent]` in the two dimensions of largest `activity` `[latent]`; `what` says what they are."""
    first, second = sorted(int(i) for i in np.argsort(-np.asarray(activity))[:2])
    figure = plots.latent_space(np.asarray(codes)[:, (first, second)], labels, names=(first, second))
    return Picture("latent_space", "Latent space", what, plots.png(figure))


def kl_by_dimension(usage: LatentUsage) -> Picture:
    """KL by latent dimension, for a q that factorises."""
    figure = plots.kl_by_dimension(usage.kl_by_dimension, usage.active)
    caption = (
        f"{int(usage.active.sum())} of {len(usage.active)} dimensions are active: the variance over data of their"
        f" posterior mean is above {ACTIVITY_THRESHOLD}. A bar near zero is a dimension that the model does not use."
    )
    return Picture("kl_by_dimension", "KL by latent dimension", caption, plots.png(figure))


def components(x: Array, name: str, moments: Sequence[plots.Components], what: str) -> Picture:
    """Data `[n, 2]` and a mixture's Gaussians at several moments of training; `what` says which are shown."""
    figure = plots.components(x, {name: moments})
    caption = (
        f"Points are test data; an ellipse is one standard deviation around a component's mean. Shown are {what}."
        " The log-likelihood above each panel is of the test split, mean and standard error."
    )
    return Picture("components", "Components", caption, plots.png(figure))
